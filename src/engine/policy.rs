//! Restart policies: which containers are started again, and when.
//!
//! - Decided from the record alone: its policy, how the newest run ended, whether the user stopped
//!   it, how often it was started again. So the answer is the same right after a reboot and after
//!   a daemon that was away.
//! - A container that waits for its next start is `Restarting`; the thread that saw its last run
//!   through sleeps until then, or until somebody else has decided about the container.
//! - A start by policy that fails counts as a run that failed: what is missing at boot may come.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::slot::{Inner, Slot};
use super::wait::UNKNOWN_CODE;
use super::{Engine, Patience};
use crate::base::{Kind, Result};
use crate::container::{Ask, Record, State};
use crate::model::RestartPolicy;
use crate::warn;

/// The first pause before a new start; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// A run of this length was a success as far as pauses are concerned.
const GOOD_RUN: Duration = Duration::from_secs(10);

/// Whether the policy wants a container again whose run has ended with `code`.
fn wants(record: &Record, code: i32) -> bool {
    match record.host.restart {
        None | Some(RestartPolicy::No) => false,
        Some(RestartPolicy::Always | RestartPolicy::UnlessStopped) => true,
        Some(RestartPolicy::OnFailure(most)) => {
            code != 0 && (most == 0 || record.restart_count < most)
        }
    }
}

/// Whether a container that does not run when the daemon starts is to be started.
///
/// `unseen`: nobody took note of the end of its run, as after a power cut, so that it would run
/// still but for that. `by_flag` is `-r`, for containers that were made without a policy.
pub(super) fn wants_at_boot(record: &Record, state: &State, unseen: bool, by_flag: bool) -> bool {
    let State::Exited { code, .. } = state else { return false };
    match record.host.restart {
        None => by_flag && unseen && !record.host.auto_remove,
        Some(RestartPolicy::Always) => true,
        _ => !record.stopped_by_user && wants(record, code.unwrap_or(UNKNOWN_CODE)),
    }
}

/// Whether some end of a run may lead to a new start.
pub(super) fn is_active(record: &Record) -> bool {
    !matches!(record.host.restart, None | Some(RestartPolicy::No))
}

/// The pause before the next start when so many in a row have come to nothing.
fn pause(attempts: u32) -> Duration {
    match attempts.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => {
            let factor = 1_u32.checked_shl(doublings).unwrap_or(u32::MAX);
            FIRST_PAUSE.checked_mul(factor).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE)
        }
    }
}

/// The state of a container that waits for its next start; `ended` is how its last run did.
pub(super) fn restarting(ended: State) -> State {
    match ended {
        State::Exited { code, oom_killed, started_at, finished_at, error } => {
            State::Restarting { code, oom_killed, started_at, finished_at, error }
        }
        other => other,
    }
}

/// The state of a container whose next start has been called off.
pub(super) fn called_off(waiting: &State) -> State {
    match waiting.clone() {
        State::Restarting { code, oom_killed, started_at, finished_at, error } => {
            State::Exited { code, oom_killed, started_at, finished_at, error }
        }
        other => other,
    }
}

impl Inner {
    /// The state that follows a run that ended as `ended` after `length`: that, or the wait for
    /// the next start.
    pub(super) fn after_run(&mut self, ended: State, length: Duration) -> State {
        let State::Exited { code, .. } = &ended else { return ended };
        if self.unwanted || !wants(&self.record, code.unwrap_or(UNKNOWN_CODE)) {
            return ended;
        }
        if length >= GOOD_RUN {
            self.attempts = 0;
        }
        self.attempts = self.attempts.saturating_add(1);
        restarting(ended)
    }

    /// The state that follows a start by policy that came to nothing.
    pub(super) fn after_failed_start(&mut self, ended: State) -> State {
        match self.record.host.restart {
            // Such a start need not have been counted on disk.
            Some(RestartPolicy::OnFailure(most)) if most != 0 && self.attempts >= most => ended,
            _ => self.after_run(ended, Duration::ZERO),
        }
    }
}

impl Engine {
    /// Sees a container that is `Restarting` through to its next run, unless somebody else decides
    /// about it first.
    pub(super) fn start_again(&self, slot: &Arc<Slot>) {
        loop {
            let (exits, pause) = {
                let inner = slot.lock();
                if !matches!(inner.state, State::Restarting { .. }) {
                    return;
                }
                (inner.exits, pause(inner.attempts))
            };
            let patience = Patience { deadline: Some(Instant::now() + pause), client: None };
            let decided = slot.watch(patience, |inner| {
                let waits = matches!(inner.state, State::Restarting { .. });
                (!waits || inner.exits != exits).then_some(())
            });
            match decided {
                Err(error) if error.kind() == Kind::TimedOut => self.try_again(slot),
                Err(error) => {
                    warn!("container {} is not started again: {error}", slot.id.short());
                    return;
                }
                Ok(()) => return,
            }
        }
    }

    /// One start by policy. After a failure the container is `Restarting` again, or has given up.
    fn try_again(&self, slot: &Arc<Slot>) {
        let id = slot.id.as_str();
        match self.start_slot(slot, id, Ask::StartAgain, Patience::default()) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), Kind::NotModified | Kind::NotFound) => {}
            Err(error) => warn!("start container {} again: {error}", slot.id.short()),
        }
    }

    /// After a start of the daemon: starts those that wait for it, one after the other.
    /// Those whose first attempt fails go on by themselves.
    pub(super) fn start_all(&self, waiting: Vec<Arc<Slot>>) -> Result<()> {
        if waiting.is_empty() {
            return Ok(());
        }
        let engine = self.me();
        self.spawn_thread("restart", move || {
            for slot in engine.linked_first(waiting) {
                if !matches!(slot.snapshot().state, State::Restarting { .. }) {
                    engine.start_by_flag(&slot);
                    continue;
                }
                engine.try_again(&slot);
                if matches!(slot.snapshot().state, State::Restarting { .. }) {
                    let (engine, slot) = (engine.me(), Arc::clone(&slot));
                    let id = slot.id.clone();
                    let spawned =
                        engine.me().spawn_thread("restart", move || engine.start_again(&slot));
                    if let Err(error) = spawned {
                        warn!("container {} is not started again: {error}", id.short());
                    }
                }
            }
        })
    }

    /// `-r`: one attempt, since there is no policy that asks for more.
    fn start_by_flag(&self, slot: &Arc<Slot>) {
        match self.start_slot(slot, slot.id.as_str(), Ask::Start, Patience::default()) {
            Ok(()) => {}
            Err(error) if matches!(error.kind(), Kind::NotModified | Kind::NotFound) => {}
            Err(error) => warn!("start container {} again: {error}", slot.id.short()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;
    use crate::engine::tests::record;

    fn exited(code: Option<i32>) -> State {
        let at = Timestamp::ZERO;
        State::Exited { code, oom_killed: false, started_at: at, finished_at: at, error: None }
    }

    fn with(restart: Option<RestartPolicy>) -> Record {
        let mut record = record("web");
        record.host.restart = restart;
        record
    }

    #[test]
    fn policies_say_who_is_started_again() {
        use RestartPolicy::{Always, No, OnFailure, UnlessStopped};
        for (restart, after_0, after_1) in [
            (None, false, false),
            (Some(No), false, false),
            (Some(Always), true, true),
            (Some(UnlessStopped), true, true),
            (Some(OnFailure(0)), false, true),
            (Some(OnFailure(2)), false, true),
        ] {
            let record = with(restart);
            assert_eq!((wants(&record, 0), wants(&record, 1)), (after_0, after_1), "{restart:?}");
        }
        let mut record = with(Some(OnFailure(2)));
        record.restart_count = 2;
        assert!(!wants(&record, 1));
    }

    #[test]
    fn at_boot_the_users_stop_counts_but_for_always() {
        use RestartPolicy::{Always, No, OnFailure, UnlessStopped};
        let check = |restart, stopped, code, unseen, expected| {
            let mut record = with(restart);
            record.stopped_by_user = stopped;
            let wanted = wants_at_boot(&record, &exited(code), unseen, true);
            assert_eq!(wanted, expected, "{restart:?} {stopped} {code:?} {unseen}");
        };
        check(None, false, None, true, true);
        check(None, false, Some(0), true, true);
        check(None, false, Some(0), false, false);
        check(Some(No), false, None, true, false);
        check(Some(Always), true, Some(0), false, true);
        check(Some(UnlessStopped), true, Some(137), false, false);
        check(Some(UnlessStopped), false, Some(0), false, true);
        check(Some(OnFailure(0)), false, None, true, true);
        check(Some(OnFailure(0)), true, Some(137), false, false);
        check(Some(OnFailure(0)), false, Some(0), false, false);
        let created = State::Created { code: 0, error: None };
        assert!(!wants_at_boot(&with(Some(Always)), &created, true, true));
        assert!(!wants_at_boot(&with(None), &exited(None), true, false));
    }

    #[test]
    fn pauses_double_up_to_a_minute_and_begin_anew_after_a_good_run() {
        assert_eq!(pause(0), Duration::ZERO);
        assert_eq!(pause(1), Duration::from_millis(100));
        assert_eq!(pause(4), Duration::from_millis(800));
        assert_eq!([pause(11), pause(64), pause(u32::MAX)], [LONGEST_PAUSE; 3]);
        let slot = Slot::new(Arc::new(with(Some(RestartPolicy::Always))), exited(Some(1)));
        let mut inner = slot.lock();
        for _ in 0..3 {
            let state = inner.after_run(exited(Some(1)), Duration::from_secs(9));
            assert_eq!(called_off(&state), exited(Some(1)));
            assert_eq!(state.word(), "restarting");
        }
        assert_eq!(inner.attempts, 3);
        inner.after_run(exited(Some(1)), Duration::from_secs(10));
        assert_eq!(inner.attempts, 1);
        inner.unwanted = true;
        assert_eq!(inner.after_run(exited(Some(1)), Duration::ZERO), exited(Some(1)));
    }

    #[test]
    fn starts_that_fail_are_counted_although_nothing_ran() {
        let policy = RestartPolicy::OnFailure(2);
        let slot = Slot::new(Arc::new(with(Some(policy))), exited(Some(1)));
        let mut inner = slot.lock();
        let words: Vec<_> =
            (0..3).map(|_| inner.after_failed_start(exited(Some(128))).word()).collect();
        assert_eq!(words, ["restarting", "restarting", "exited"]);
    }
}
