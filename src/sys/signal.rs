//! Blocking, resetting and sending signals. signal(7).
