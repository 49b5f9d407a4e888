//! Reading a container's log.

use std::io::Write;
use std::os::fd::AsFd;
use std::sync::Arc;

use super::slot::{Outcome, Slot};
use super::{Engine, LogQuery, Patience, WaitCondition};
use crate::base::{Error, Result, guard};
use crate::container::State;
use crate::model::LogDriver;
use crate::runtime::log::{Query, Reader};

impl Engine {
    /// Writes the log to `out` until its end, or, with `follow`, the end of the container.
    ///
    /// # Errors
    /// `NotFound`; `NotImplemented` with log driver `none`; those of `out`; `ClientGone`.
    pub fn logs(
        &self,
        name: &str,
        query: &LogQuery,
        out: &mut dyn Write,
        patience: Patience<'_>,
    ) -> Result<()> {
        let slot = self.slot(name)?;
        let LogQuery { stdout, stderr, follow, timestamps, since, until, tail, framed } =
            query.clone();
        if slot.record().host.log.driver == LogDriver::None {
            return Err(Error::not_implemented(
                "configured logging driver does not support reading",
            ));
        }
        let query = Query { stdout, stderr, timestamps, since, until, tail, framed };
        let mut reader = Reader::open(&self.layout.io(&slot.id), &query)?;
        if !follow {
            reader.copy_to(out)?;
            return Ok(out.flush()?);
        }
        let outcome = end_of_run(&slot)?;
        let _forgotten = guard((), |()| {
            slot.lock().waiters.retain(|(_, other)| !Arc::ptr_eq(other, &outcome));
        });
        reader.follow(out, patience.client, outcome.as_fd())
    }
}

/// What becomes readable at the end of the run that is under way; at once when there is none.
fn end_of_run(slot: &Slot) -> Result<Arc<Outcome>> {
    let outcome = Arc::new(Outcome::new()?);
    let mut inner = slot.lock();
    if matches!(inner.state, State::Running { .. } | State::Starting) {
        inner.waiters.push((WaitCondition::NotRunning, Arc::clone(&outcome)));
    } else {
        outcome.set(0, None);
    }
    drop(inner);
    Ok(outcome)
}
