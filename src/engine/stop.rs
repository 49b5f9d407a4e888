//! Stopping, restarting and killing.
//!
//! One stop of a container leads: it sends the stop signal and kills when the time is over.
//! Others join it and may bring that time forward. The leader's client may leave; the work goes
//! on, unless there is no time to kill at.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::claim::refusal;
use super::slot::{Inner, Slot, Stop};
use super::wait::last_exit;
use super::{Engine, Patience, StopHow, policy};
use crate::base::{Error, Kind, Result, guard};
use crate::container::{Ask, Record, Verdict};
use crate::model::Signal;
use crate::runtime::handle::Handle;
use crate::warn;

const DEFAULT_TIMEOUT: i64 = 10;
/// How long a killed container may take to end.
const KILL_TIME: Duration = Duration::from_secs(10);
/// How long a signal waits for a start that is under way.
const START_TIME: Duration = Duration::from_secs(60);

/// What a stop found.
enum Found {
    /// It leads; the monitor and the number of exits so far.
    Lead(Arc<Handle>, u64),
    /// Another one leads.
    Join(u64),
    /// It does not run, and will not be started again.
    CalledOff,
}

/// What the leader of a stop woke up for.
enum Woken {
    Ended,
    /// The time to kill has been brought forward.
    Sooner,
}

impl Engine {
    /// Stops a container.
    ///
    /// # Errors
    /// `NotModified` when it does not run.
    pub fn stop(&self, name: &str, how: StopHow, patience: Patience<'_>) -> Result<()> {
        let slot = self.slot(name)?;
        self.stop_slot(&slot, name, how, true, patience)?;
        self.emit_container("stop", &slot.record(), &[]);
        Ok(())
    }

    /// `lasting`: it is to stay so after the next start of the daemon.
    fn stop_slot(
        &self,
        slot: &Arc<Slot>,
        name: &str,
        how: StopHow,
        lasting: bool,
        patience: Patience<'_>,
    ) -> Result<()> {
        let kill_at = kill_time(&slot.record(), how);
        let found = slot.watch(patience, |inner| {
            match (inner.activity().verdict(Ask::Stop), inner.monitor.clone()) {
                (Verdict::Claim, Some(monitor)) => {
                    inner.stop = Some(Stop { kill_at });
                    inner.unwanted = true;
                    Some(Ok(Found::Lead(monitor, inner.exits)))
                }
                (Verdict::Join, _) => {
                    bring_forward(inner, kill_at);
                    Some(Ok(Found::Join(inner.exits)))
                }
                (Verdict::CallOff, _) => {
                    call_off(inner);
                    Some(Ok(Found::CalledOff))
                }
                (Verdict::Wait, _) | (Verdict::Claim, None) => None,
                (verdict, _) => Some(Err(refusal(verdict, name, inner))),
            }
        })??;
        if lasting && !matches!(found, Found::Join(_)) {
            self.remember_stop(slot);
        }
        match found {
            Found::CalledOff => Ok(()),
            Found::Join(exits) => slot.watch(patience, |inner| ended(inner, exits)),
            Found::Lead(monitor, exits) => {
                let _released = guard((), |()| {
                    let mut inner = slot.lock();
                    if inner.exits == exits {
                        inner.stop = None;
                        inner.changed();
                    }
                });
                self.lead_stop(slot, &monitor, exits, how, patience)
            }
        }
    }

    /// Sends the stop signal, waits, kills when the time is over.
    fn lead_stop(
        &self,
        slot: &Arc<Slot>,
        monitor: &Handle,
        exits: u64,
        how: StopHow,
        patience: Patience<'_>,
    ) -> Result<()> {
        let record = slot.record();
        let signal = how.signal.unwrap_or_else(|| stop_signal(&record));
        self.deliver(slot, monitor, signal).or_else(|error| match error.kind() {
            // It has ended by itself, and that will be told in a moment.
            Kind::Conflict => Ok(()),
            _ => self.deliver(slot, monitor, Signal::KILL),
        })?;
        self.thaw(slot);
        loop {
            let kill_at = slot.lock().stop.as_ref().and_then(|stop| stop.kill_at);
            let waits = Patience {
                deadline: kill_at,
                client: patience.client.filter(|_| kill_at.is_none()),
            };
            let woken = slot.watch(waits, |inner| match &inner.stop {
                _ if inner.exits > exits => Some(Woken::Ended),
                Some(stop) if stop.kill_at != kill_at => Some(Woken::Sooner),
                _ => None,
            });
            match woken {
                Ok(Woken::Ended) => return Ok(()),
                Ok(Woken::Sooner) => {}
                Err(error) if error.kind() == Kind::TimedOut => break,
                Err(error) => return Err(error),
            }
        }
        self.kill_and_wait(slot, monitor, exits)
    }

    /// Kills, and waits for the end of the run. Nobody cuts this short.
    fn kill_and_wait(&self, slot: &Arc<Slot>, monitor: &Handle, exits: u64) -> Result<()> {
        let soon = || Patience { deadline: Some(Instant::now() + KILL_TIME), client: None };
        let over = |inner: &mut Inner| ended(inner, exits);
        let killed = match self.deliver(slot, monitor, Signal::KILL) {
            Err(error) => error.kind() == Kind::Conflict,
            Ok(()) => true,
        };
        if killed && slot.watch(soon(), over).is_ok() {
            return Ok(());
        }
        monitor.kill(KILL_TIME);
        slot.watch(soon(), over).map_err(|_| {
            Error::internal(format!("container {} did not end after SIGKILL", slot.id))
        })
    }

    /// Stops and starts.
    ///
    /// # Errors
    /// Those of [`Engine::stop`] and [`Engine::start`], but for `NotModified`.
    pub fn restart(&self, name: &str, how: StopHow, patience: Patience<'_>) -> Result<()> {
        let slot = self.slot(name)?;
        slot.lock().restarts += 1;
        let _over = guard((), |()| {
            slot.lock().restarts -= 1;
            self.remove_if_automatic(&slot);
        });
        let unless_so = |result: Result<()>| match result {
            Err(error) if error.kind() == Kind::NotModified => Ok(()),
            result => result,
        };
        let stopped = self.stop_slot(&slot, name, how, false, patience);
        if stopped.is_ok() {
            self.emit_container("stop", &slot.record(), &[]);
        }
        unless_so(stopped)?;
        unless_so(self.start_slot(&slot, name, Ask::Start, patience))?;
        self.emit_container("restart", &slot.record(), &[]);
        Ok(())
    }

    /// Sends a signal. After SIGKILL the container has ended on return, if it can end at all.
    ///
    /// # Errors
    /// `Conflict` when it does not run.
    pub fn kill(&self, name: &str, signal: Signal) -> Result<()> {
        let slot = self.slot(name)?;
        let explain = |error: Error| match error.kind() {
            Kind::Conflict => Error::conflict(format!(
                "cannot kill container: {name}: container {} is not running",
                slot.id
            )),
            _ => error,
        };
        let patience = Patience { deadline: Some(Instant::now() + START_TIME), client: None };
        let last = signal == Signal::KILL || signal == stop_signal(&slot.record());
        let found = slot
            .watch(patience, |inner| {
                match (inner.activity().verdict(Ask::Kill), inner.monitor.clone()) {
                    (Verdict::Deliver, Some(monitor)) => {
                        inner.unwanted |= last;
                        Some(Ok(Found::Lead(monitor, inner.exits)))
                    }
                    (Verdict::CallOff, _) if last => {
                        call_off(inner);
                        Some(Ok(Found::CalledOff))
                    }
                    (Verdict::CallOff, _) => Some(Err(refusal(Verdict::NotRunning, name, inner))),
                    (Verdict::Deliver, None) | (Verdict::Wait, _) => None,
                    (verdict, _) => Some(Err(refusal(verdict, name, inner))),
                }
            })?
            .map_err(explain)?;
        if last {
            self.remember_stop(&slot);
        }
        let Found::Lead(monitor, exits) = found else { return Ok(()) };
        self.deliver(&slot, &monitor, signal).map_err(explain)?;
        if signal == Signal::KILL {
            let soon = Patience { deadline: Some(Instant::now() + KILL_TIME), client: None };
            // One that does not end is no failure of the signal.
            drop(slot.watch(soon, |inner| ended(inner, exits)));
        }
        Ok(())
    }

    /// Puts on record that the user wants the container stopped, before that begins. Dying in
    /// between, adopt does not start it by its policy, and lets it run if it still does.
    fn remember_stop(&self, slot: &Slot) {
        let record = slot.record();
        if !policy::is_active(&record) || record.stopped_by_user {
            return;
        }
        let saved = slot.save(&self.layout, |saved| {
            saved.stopped_by_user |= saved.run == record.run;
        });
        if let Err(error) = saved {
            warn!("{error}; the next start of the daemon may start it again");
        }
    }

    /// Sends a signal; what is frozen and is to end by it goes on.
    fn deliver(&self, slot: &Arc<Slot>, monitor: &Handle, signal: Signal) -> Result<()> {
        let record = slot.record();
        if signal == Signal::KILL {
            slot.lock().killed = true;
        }
        monitor.signal(signal)?;
        self.emit_container("kill", &record, &[("signal", signal.number().to_string())]);
        if signal == Signal::KILL || signal == stop_signal(&record) {
            self.thaw(slot);
        }
        Ok(())
    }
}

fn ended(inner: &Inner, exits: u64) -> Option<()> {
    (inner.exits > exits || inner.gone).then_some(())
}

/// The start that a policy has announced will not be.
fn call_off(inner: &mut Inner) {
    inner.state = policy::called_off(&inner.state);
    let (code, error) = last_exit(&inner.state);
    inner.tell_exit(code, error.as_deref());
}

fn stop_signal(record: &Record) -> Signal {
    Signal::parse(&record.config.stop_signal).unwrap_or(Signal::TERM)
}

/// When a stop that is asked for now kills; `None` is never.
fn kill_time(record: &Record, how: StopHow) -> Option<Instant> {
    let seconds = how.timeout.or(record.config.stop_timeout).unwrap_or(DEFAULT_TIMEOUT);
    let seconds = u64::try_from(seconds).ok()?;
    Instant::now().checked_add(Duration::from_secs(seconds))
}

/// The earlier deadline wins.
fn bring_forward(inner: &mut Inner, kill_at: Option<Instant>) {
    if let Some(stop) = &mut inner.stop {
        stop.kill_at = match (stop.kill_at, kill_at) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
    }
    inner.changed();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::State;
    use crate::engine::tests::record;

    #[test]
    fn the_time_to_kill_is_the_calls_then_the_containers_then_ten_seconds() {
        let mut record = record("web");
        let left = |record: &Record, timeout: Option<i64>| {
            let how = StopHow { signal: None, timeout };
            kill_time(record, how).map(|at| (at - Instant::now()).as_secs_f64().round())
        };
        assert_eq!(left(&record, None), Some(10.0));
        record.config.stop_timeout = Some(3);
        assert_eq!(left(&record, None), Some(3.0));
        assert_eq!(left(&record, Some(7)), Some(7.0));
        assert_eq!(left(&record, Some(-1)), None);
        assert_eq!(left(&record, Some(i64::MAX)), None);
        assert_eq!(stop_signal(&record), Signal::TERM);
        record.config.stop_signal = "SIGINT".into();
        assert_eq!(stop_signal(&record), Signal::INT);
    }

    #[test]
    fn of_two_stops_the_earlier_deadline_wins() {
        let slot = Slot::new(Arc::new(record("web")), State::Starting);
        let mut inner = slot.lock();
        let soon = Instant::now();
        let late = soon + Duration::from_secs(9);
        for (first, second, expected) in [
            (Some(soon), Some(late), Some(soon)),
            (Some(late), Some(soon), Some(soon)),
            (None, Some(late), Some(late)),
            (Some(late), None, Some(late)),
            (None, None, None),
        ] {
            inner.stop = Some(Stop { kill_at: first });
            bring_forward(&mut inner, second);
            assert_eq!(inner.stop.as_ref().unwrap().kill_at, expected);
        }
    }
}
