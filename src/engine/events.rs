//! What happened, told in order to all who subscribed.
//!
//! - Times rise, unless the clock is set back: an event gets its time under the lock under which it
//!   is handed out.
//! - Nothing grows: the newest [`REMEMBERED`] events are kept for `since`, and a subscriber that
//!   does not read loses the connection after [`WAITING`] events.
//! - The newest ones outlive the daemon, see [`journal`].

mod journal;

use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use self::journal::Journal;

use super::create::event_attributes;
use super::{Engine, Event, EventQuery, Filters, Patience, filter};
use crate::base::order::Ordered;
use crate::base::{Context, Error, Id, Kind, Lock, Result, Timestamp};
use crate::container::Record;
use crate::network::Network;
use crate::sys::poll::EventFd;

const REMEMBERED: usize = 256;
const WAITING: usize = 1024;
/// What a clock that goes back by less is taken for.
const CORRECTION: Duration = Duration::from_secs(1);
const FILTERS: &[&str] = &[
    "container",
    "daemon",
    "event",
    "image",
    "label",
    "network",
    "plugin",
    "scope",
    "type",
    "volume",
];

/// The newest events and those who want more.
#[derive(Default)]
pub(super) struct Events(Lock<Inner>);

#[derive(Default)]
struct Inner {
    newest: VecDeque<Arc<Event>>,
    subscribers: Vec<Arc<Subscriber>>,
    journal: Journal,
}

struct Subscriber {
    queue: Lock<Queue>,
    bell: EventFd,
}

#[derive(Default)]
struct Queue {
    events: VecDeque<Arc<Event>>,
    overflowed: bool,
}

/// A subscription to events.
pub struct EventStream {
    engine: Arc<Engine>,
    subscriber: Arc<Subscriber>,
    query: EventQuery,
}

impl Events {
    /// Those that a daemon before us has seen, as far as they are in the journal below
    /// `run_root`; new ones go there, too.
    pub(super) fn open(run_root: &Path) -> Events {
        let (journal, mut old) = Journal::open(run_root);
        let newest = old.split_off(old.len().saturating_sub(REMEMBERED));
        let newest = newest.into_iter().map(Arc::new).collect();
        Events(Lock::new(Inner { newest, subscribers: Vec::new(), journal }))
    }

    fn emit(&self, mut event: Event) {
        let mut inner = self.0.lock();
        event.time = Timestamp::now();
        // The clock may be put right by a little, which nobody is to see, or be set.
        let last = inner.newest.back().map(|last| last.time).filter(|last| *last > event.time);
        if let Some(last) = last.filter(|last| last.since(event.time) < CORRECTION) {
            event.time = last;
        }
        let event = Arc::new(event);
        // Under the lock, so that the order is the same; nothing is waited for, since it goes to
        // memory.
        inner.journal.add(&event);
        for subscriber in &inner.subscribers {
            subscriber.push(&event);
        }
        if inner.newest.len() == REMEMBERED {
            inner.newest.pop_front();
        }
        inner.newest.push_back(event);
    }

    /// Number of subscribers.
    pub(super) fn listeners(&self) -> usize {
        self.0.lock().subscribers.len()
    }
}

impl Subscriber {
    fn push(&self, event: &Arc<Event>) {
        let mut queue = self.queue.lock();
        if queue.events.len() >= WAITING {
            queue.overflowed = true;
        } else {
            queue.events.push_back(Arc::clone(event));
        }
        self.bell.notify();
    }
}

impl EventStream {
    /// The next event; `None` at the end of the asked time.
    ///
    /// # Errors
    /// `ClientGone`; `Internal` when the reader was so slow that events were dropped.
    pub fn next(&mut self, patience: Patience<'_>) -> Result<Option<Event>> {
        loop {
            self.subscriber.bell.drain();
            while let Some(event) = self.take()? {
                if self.query.until.is_some_and(|until| event.time > until) {
                    return Ok(None);
                }
                if passes(&self.query.filters, &event) {
                    return Ok(Some((*event).clone()));
                }
            }
            // Looked at anew each time: the clock may jump.
            let now = Timestamp::now();
            let left = match self.query.until {
                Some(until) if until <= now => return Ok(None),
                until => until.map(|until| std::time::Instant::now() + until.since(now)),
            };
            let earlier = [patience.deadline, left].into_iter().flatten().min();
            match self.wait(Patience { deadline: earlier, ..patience }) {
                Err(error) if error.kind() == Kind::TimedOut && earlier == left => {}
                result => result?,
            }
        }
    }

    fn wait(&self, patience: Patience<'_>) -> Result<()> {
        patience.wait_for(&self.subscriber.bell)
    }

    fn take(&self) -> Result<Option<Arc<Event>>> {
        let mut queue = self.subscriber.queue.lock();
        match queue.events.pop_front() {
            None if queue.overflowed => Err(Error::internal(format!(
                "events were lost: more than {WAITING} were waiting to be read"
            ))),
            event => Ok(event),
        }
    }
}

impl Drop for EventStream {
    fn drop(&mut self) {
        let mut inner = self.engine.events.0.lock();
        inner.subscribers.retain(|other| !Arc::ptr_eq(other, &self.subscriber));
    }
}

impl Engine {
    /// Subscribes to events.
    ///
    /// # Errors
    /// `BadParameter` for an unknown filter.
    pub fn events(&self, query: EventQuery) -> Result<EventStream> {
        filter::check_keys(&query.filters, FILTERS)?;
        let bell = EventFd::new().context(|| "make an eventfd".into())?;
        let subscriber = Arc::new(Subscriber { queue: Lock::default(), bell });
        let mut inner = self.events.0.lock();
        if let Some(since) = query.since {
            // Those of before the clock was set may be later than their successors.
            let until = |time| query.until.is_none_or(|until| time <= until);
            let old = inner.newest.iter().filter(|e| e.time >= since && until(e.time));
            subscriber.queue.lock().events.extend(old.map(Arc::clone));
        }
        inner.subscribers.push(Arc::clone(&subscriber));
        drop(inner);
        Ok(EventStream { engine: self.me(), subscriber, query })
    }

    pub(super) fn emit_container(&self, action: &str, record: &Record, more: &[(&str, String)]) {
        self.events.emit(Event {
            kind: "container",
            action: action.to_owned(),
            id: record.id.to_string(),
            attributes: event_attributes(record, more),
            time: Timestamp::ZERO,
        });
    }

    /// Something was removed because nobody needed it.
    pub(super) fn emit_prune(&self, kind: &'static str, reclaimed: u64) {
        self.events.emit(Event {
            kind,
            action: "prune".to_owned(),
            id: String::new(),
            attributes: [("reclaimed".to_owned(), reclaimed.to_string())].into(),
            time: Timestamp::ZERO,
        });
    }

    pub(super) fn emit_network(&self, action: &str, network: &Network, container: Option<&Id>) {
        let mut attributes: BTreeMap<String, String> = BTreeMap::new();
        attributes.insert("name".into(), network.name.clone());
        attributes.insert("type".into(), "bridge".into());
        if let Some(container) = container {
            attributes.insert("container".into(), container.to_string());
        }
        self.events.emit(Event {
            kind: "network",
            action: action.to_owned(),
            id: network.id.clone(),
            attributes,
            time: Timestamp::ZERO,
        });
    }

    pub(super) fn emit_image(&self, action: &str, id: &str, name: &str) {
        self.events.emit(Event {
            kind: "image",
            action: action.to_owned(),
            id: id.to_owned(),
            attributes: std::iter::once(("name".to_owned(), name.to_owned())).into_map(),
            time: Timestamp::ZERO,
        });
    }
}

/// Values of one key are alternatives, but for labels; keys come all together.
fn passes(filters: &Filters, event: &Event) -> bool {
    let any = |key: &str, fits: &dyn Fn(&str) -> bool| {
        filters.get(key).is_none_or(|values| values.iter().any(|value| fits(value)))
    };
    let attribute = |key: &str| event.attributes.get(key).map_or("", String::as_str);
    // `busybox` means `busybox:latest` as well, and any tag of it.
    let image_is = |value: &str, name: &str| {
        name == value || name.rsplit_once(':').is_some_and(|(repository, _)| repository == value)
    };
    let object = |kind: &'static str| {
        move |value: &str| {
            event.kind == kind
                && (event.id == value
                    || (!value.is_empty() && event.id.starts_with(value))
                    || attribute("name") == value)
        }
    };
    any("type", &|value| event.kind == value)
        && any("scope", &|value| value == "local")
        && any("event", &|value| {
            event.action == value || event.action.split(':').next() == Some(value)
        })
        && any("container", &object("container"))
        && any("network", &object("network"))
        && any("volume", &object("volume"))
        && any("daemon", &object("daemon"))
        && any("plugin", &object("plugin"))
        && any("image", &|value| match event.kind {
            "image" => event.id == value || image_is(value, attribute("name")),
            _ => image_is(value, attribute("image")),
        })
        && filter::has_labels(filters, "label", &event.attributes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(action: &str) -> Event {
        let attributes = [("name", "web"), ("image", "busybox:latest"), ("tier", "front")];
        Event {
            kind: "container",
            action: action.to_owned(),
            id: "ab12".into(),
            attributes: attributes.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            time: Timestamp::ZERO,
        }
    }

    #[test]
    fn filters_choose_events() {
        let check = |key: &str, value: &str, expected: bool| {
            let filters = Filters::from([(key.to_owned(), vec![value.to_owned()])]);
            assert_eq!(passes(&filters, &event("die")), expected, "{key}={value}");
        };
        check("type", "container", true);
        check("type", "image", false);
        check("event", "die", true);
        check("container", "web", true);
        check("container", "ab", true);
        check("container", "b", false);
        check("image", "busybox", true);
        check("image", "busybox:latest", true);
        check("image", "busy", false);
        check("label", "tier=front", true);
        check("label", "tier=back", false);
    }

    #[test]
    fn times_rise_and_only_the_newest_are_remembered() {
        let events = Events::default();
        for n in 0..REMEMBERED + 10 {
            events.emit(event(&n.to_string()));
        }
        let inner = events.0.lock();
        assert_eq!(inner.newest.len(), REMEMBERED);
        assert_eq!(inner.newest[0].action, "10");
        assert!(
            inner.newest.iter().zip(inner.newest.iter().skip(1)).all(|(a, b)| a.time <= b.time)
        );
    }

    #[test]
    fn a_subscriber_that_does_not_read_costs_no_more_than_its_bound() {
        let bell = EventFd::new().unwrap();
        let subscriber = Subscriber { queue: Lock::default(), bell };
        let event = Arc::new(event("x"));
        for _ in 0..WAITING + 5 {
            subscriber.push(&event);
        }
        let queue = subscriber.queue.lock();
        assert!(queue.overflowed && queue.events.len() == WAITING);
    }
}
