//! Waiting for descriptors. poll(2), eventfd(2), signalfd(2), inotify(7).
