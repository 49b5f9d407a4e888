//! From what the engine knows to what clients are shown.

pub(super) mod container;
pub(super) mod image;
mod network;
pub(super) mod stats;
pub(super) mod system;

pub(super) use network::endpoint_id;

use crate::engine::Event;
use crate::wire::system as wire;

/// An event, with the three fields of old besides today's.
pub(super) fn event(event: &Event) -> wire::Event {
    let Event { kind, action, id, attributes, time } = event;
    let old = matches!(*kind, "container" | "image");
    let kept = |text: &str| if old { text.to_owned() } else { String::new() };
    let from = match *kind {
        "container" => attributes.get("image").cloned().unwrap_or_default(),
        _ => String::new(),
    };
    wire::Event {
        status: kept(action),
        id: kept(id),
        from,
        kind: (*kind).to_owned(),
        action: action.clone(),
        actor: wire::Actor { id: id.clone(), attributes: attributes.clone() },
        scope: "local".into(),
        time: time.seconds,
        time_nano: time.seconds.saturating_mul(1_000_000_000).saturating_add(time.nanos.into()),
    }
}

/// A count as the protocol's integers carry it.
pub(super) fn count(number: impl TryInto<i64>) -> i64 {
    number.try_into().unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Timestamp;

    #[test]
    fn an_event_has_old_and_new_fields() {
        let attributes = [("image", "busybox"), ("name", "web")];
        let shown = event(&Event {
            kind: "container",
            action: "start".into(),
            id: "abc".into(),
            attributes: attributes.map(|(k, v)| (k.to_owned(), v.to_owned())).into(),
            time: Timestamp { seconds: 7, nanos: 5 },
        });
        assert_eq!(
            serde_json::to_string(&shown).unwrap(),
            "{\"status\":\"start\",\"id\":\"abc\",\"from\":\"busybox\",\"Type\":\"container\",\
             \"Action\":\"start\",\"Actor\":{\"ID\":\"abc\",\"Attributes\":{\"image\":\"busybox\",\
             \"name\":\"web\"}},\"scope\":\"local\",\"time\":7,\"timeNano\":7000000005}"
        );
    }
}
