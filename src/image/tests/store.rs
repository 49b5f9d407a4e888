//! The store: names, removal, crashes, stacks of layers.
