//! Every type that `fields!` reads, with a value of its own in each field: what is read under a
//! key is written under the same key, and nothing is lost or mixed up on the way.

use std::cell::Cell;

use serde::de::value::StrDeserializer;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, forward_to_deserialize_any};
use serde_json::{Map, Value, json};

use super::container::{host, inspect, network, summary};
use super::network as networks;
use super::{container, exec, image, stream, system};

type Failed = serde::de::value::Error;

/// Makes up a value for whatever is asked for, and tells what it was.
struct Filler<'a> {
    /// Each value is another.
    next: &'a Cell<u8>,
    told: &'a mut Value,
}

impl Filler<'_> {
    fn number(&self) -> u8 {
        self.next.set(self.next.get() % 250 + 1);
        self.next.get()
    }

    fn list<'de, V: Visitor<'de>>(self, count: usize, visitor: V) -> Result<V::Value, Failed> {
        let mut told = Vec::new();
        let value = visitor.visit_seq(Several { next: self.next, left: count, told: &mut told })?;
        *self.told = Value::Array(told);
        Ok(value)
    }

    fn object<'de, V: Visitor<'de>>(self, keys: &[&str], visitor: V) -> Result<V::Value, Failed> {
        let mut told = Map::new();
        let entries = Entries { next: self.next, keys, told: &mut told };
        let value = visitor.visit_map(entries)?;
        *self.told = Value::Object(told);
        Ok(value)
    }
}

struct Several<'a> {
    next: &'a Cell<u8>,
    left: usize,
    told: &'a mut Vec<Value>,
}

impl<'de> SeqAccess<'de> for Several<'_> {
    type Error = Failed;
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Failed> {
        let Some(left) = self.left.checked_sub(1) else { return Ok(None) };
        self.left = left;
        let mut told = Value::Null;
        let value = seed.deserialize(Filler { next: self.next, told: &mut told })?;
        self.told.push(told);
        Ok(Some(value))
    }
}

struct Entries<'a> {
    next: &'a Cell<u8>,
    keys: &'a [&'a str],
    told: &'a mut Map<String, Value>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Failed;
    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Failed> {
        let Some(key) = self.keys.first() else { return Ok(None) };
        seed.deserialize(StrDeserializer::new(key)).map(Some)
    }
    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Failed> {
        let (key, rest) = self.keys.split_first().expect("there was a key");
        self.keys = rest;
        let mut told = Value::Null;
        let value = seed.deserialize(Filler { next: self.next, told: &mut told })?;
        assert!(self.told.insert((*key).to_owned(), told).is_none(), "{key} is there twice");
        Ok(value)
    }
}

macro_rules! numbers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
            let number = self.number();
            *self.told = number.into();
            visitor.visit_u64(number.into())
        }
    )*};
}

impl<'de> Deserializer<'de> for Filler<'_> {
    type Error = Failed;

    numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64
    }
    forward_to_deserialize_any! { f32 f64 char bytes byte_buf unit unit_struct enum identifier ignored_any tuple_struct }

    /// Asked for by what takes a list as well as a text.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        self.list(1, visitor)
    }
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        *self.told = true.into();
        visitor.visit_bool(true)
    }
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        let text = format!("text {}", self.number());
        *self.told = text.as_str().into();
        visitor.visit_string(text)
    }
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        self.deserialize_str(visitor)
    }
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        visitor.visit_some(self)
    }
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Failed> {
        visitor.visit_newtype_struct(self)
    }
    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        self.list(2, visitor)
    }
    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        count: usize,
        visitor: V,
    ) -> Result<V::Value, Failed> {
        self.list(count, visitor)
    }
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Failed> {
        let key = format!("key {}", self.number());
        self.object(&[&key], visitor)
    }
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        keys: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Failed> {
        self.object(keys, visitor)
    }
}

#[track_caller]
fn check<T: Serialize + for<'de> Deserialize<'de>>() {
    let name = std::any::type_name::<T>();
    let (next, mut told) = (Cell::new(0), Value::Null);
    let value = T::deserialize(Filler { next: &next, told: &mut told }).expect(name);
    let keys = told.as_object().expect(name).len();
    assert!(keys > 0, "{name}");
    assert_eq!(serde_json::to_value(&value).expect(name), told, "{name}");
    // And once more by the way that answers and requests take.
    let text = told.to_string();
    let read: T = super::json::from_answer(text.as_bytes()).expect(name);
    assert_eq!(serde_json::to_value(&read).expect(name), told, "{name}");
    let read: T = super::json::from_request(text.as_bytes()).expect(name);
    assert_eq!(serde_json::to_value(&read).expect(name), told, "{name}");
}

macro_rules! check_all {
    ($($type:ty)*) => { $( check::<$type>(); )* };
}

#[test]
fn what_is_read_under_a_key_is_written_under_it() {
    check_all! {
        container::Config container::HealthConfig container::CreateResponse container::WaitResponse
        container::TopResponse container::PruneResponse container::UpdateResponse
        host::HostConfig host::LogConfig host::RestartPolicy host::DeviceMapping
        host::DeviceRequest host::WeightDevice host::ThrottleDevice host::Ulimit host::Mount
        host::BindOptions host::VolumeOptions host::DriverConfig host::TmpfsOptions
        network::EndpointSettings network::EndpointIpamConfig network::NetworkSettings
        network::Address network::PortBinding
        inspect::Inspect inspect::Brief inspect::BriefConfig inspect::BriefHostConfig
        inspect::State inspect::Health inspect::HealthResult inspect::GraphDriver
        summary::Line summary::LineNetworks summary::Port summary::MountPoint
        exec::ExecCreate exec::ExecCreated exec::ExecStart exec::ExecStatus
        image::Summary image::Inspect image::RootFs image::History image::DeleteItem
        networks::CreateRequest networks::Ipam networks::IpamConfig networks::CreateResponse
        networks::ConnectRequest networks::PruneResponse
        stream::Message stream::ProgressDetail stream::ErrorDetail
        system::Version system::Component system::Event system::Actor system::Info
        system::Plugins system::RegistryConfig system::Swarm system::Commit
    }
}

#[test]
fn the_filler_tells_what_it_gave() {
    let (next, mut told) = (Cell::new(0), Value::Null);
    let port = summary::Port::deserialize(Filler { next: &next, told: &mut told }).unwrap();
    assert_eq!(told, json!({"IP": "text 1", "PrivatePort": 2, "PublicPort": 3, "Type": "text 4"}));
    assert_eq!((port.private_port, port.public_port), (2, 3));
}

#[test]
fn no_type_is_forgotten() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/wire");
    let here = std::fs::read_to_string(folder.join("round_trip.rs")).unwrap();
    let mut seen = 0;
    for folder in [folder.clone(), folder.join("container")] {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for block in text.split("\nfields! {").skip(1) {
                let name = block.split("pub struct ").nth(1).unwrap().split(' ').next().unwrap();
                let listed = format!("::{name}");
                let ends = |rest: &&str| !rest.starts_with(|c: char| c.is_alphanumeric());
                assert!(here.split(&listed).skip(1).any(|rest| ends(&rest)), "{name}: {path:?}");
                seen += 1;
            }
        }
    }
    assert!(seen > 40, "{seen}");
}
