//! Undo on the way out: what a failed operation has begun is taken back, last first.
//!
//! Guards undo errors; crashes are undone by the next start. Keep guards in locals: locals drop
//! in reverse order, fields of a struct do not.

use std::ops::Deref;

/// A value whose undo runs when it is dropped, unless it was [kept](Guard::keep).
#[must_use = "a guard that is dropped at once undoes at once"]
pub struct Guard<T, F: FnOnce(T)> {
    inner: Option<(T, F)>,
}

/// Guards `value` with `undo`.
pub fn guard<T, F: FnOnce(T)>(value: T, undo: F) -> Guard<T, F> {
    Guard { inner: Some((value, undo)) }
}

impl<T, F: FnOnce(T)> Guard<T, F> {
    /// All went well: gives the value back and forgets the undo.
    pub fn keep(mut self) -> T {
        self.inner.take().expect("a guard holds its value until it is kept or dropped").0
    }
}

impl<T, F: FnOnce(T)> Deref for Guard<T, F> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.inner.as_ref().expect("a guard holds its value until it is kept or dropped").0
    }
}

impl<T, F: FnOnce(T)> Drop for Guard<T, F> {
    fn drop(&mut self) {
        if let Some((value, undo)) = self.inner.take() {
            undo(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    #[test]
    fn undo_runs_last_first_and_not_after_keep() {
        let seen = RefCell::new(Vec::new());
        {
            let _first = guard(1, |n| seen.borrow_mut().push(n));
            let second = guard(2, |n| seen.borrow_mut().push(n));
            let _third = guard(3, |n| seen.borrow_mut().push(n));
            assert_eq!(second.keep(), 2);
        }
        assert_eq!(*seen.borrow(), [3, 1]);
    }
}
