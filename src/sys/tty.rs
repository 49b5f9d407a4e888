//! Terminals and pseudo-terminals. pty(7), termios(3).
