//! Mounting, in the classic and the descriptor-based way. mount(2), fsopen(2).
