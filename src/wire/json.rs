//! Reading JSON as Go does, which clients rely on.
//!
//! - Keys of structs match without regard to case, keys of maps exactly; of several the last wins.
//! - `null` is absent, and the zero value inside lists and maps; unknown keys are ignored.
//! - Only the first value of a body is read; an empty body is `EOF`.
//! - Depth and, for what strangers send, the number of values are bounded. Nothing panics.

use std::cell::Cell;
use std::fmt;

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess,
    Visitor,
};

use crate::base::order::Ordered;
use crate::base::{Error, Kind, Result};

/// Most values (lists, objects and what is in them) of a request: 4 MiB of memory at worst.
const MAX_VALUES: usize = 64 << 10;

/// Reads the first value of a request's body.
///
/// # Errors
/// With a sentence: `TooLong` for too many values, else `BadParameter`: an empty body, no JSON, a
/// wrong type.
pub fn from_request<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    parse(body, MAX_VALUES)?.read()
}

/// Reads a daemon's answer, of any size. Daemons write names as they are, so that it is read
/// straight into its type, which is several times as fast.
///
/// # Errors
/// `BadParameter`: no JSON, or a wrong type.
pub fn from_answer<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    serde_json::from_slice(body).map_err(|error| invalid(&error))
}

/// A body that has been parsed and not yet been given a type.
#[derive(Debug, Clone, Default)]
pub struct Parsed(Tree);

impl Parsed {
    /// The first value of a request's body.
    ///
    /// # Errors
    /// As [`from_request`].
    pub fn request(body: &[u8]) -> Result<Parsed> {
        parse(body, MAX_VALUES)
    }

    /// Reads it as a `T`.
    ///
    /// # Errors
    /// `BadParameter` for a wrong type.
    pub fn read<T: DeserializeOwned>(self) -> Result<T> {
        T::deserialize(self.0).map_err(|error| invalid(&error))
    }
}

fn parse(body: &[u8], max_values: usize) -> Result<Parsed> {
    let text = String::from_utf8_lossy(body);
    if text.trim_matches([' ', '\t', '\r', '\n']).is_empty() {
        return Err(Error::bad_parameter("invalid JSON: got EOF while reading request body"));
    }
    let left = Cell::new(max_values);
    let mut source = serde_json::Deserializer::from_slice(text.as_bytes());
    TreeSeed { left: &left }.deserialize(&mut source).map(Parsed).map_err(|error| {
        match left.get() {
            0 => invalid(&error).with_kind(Kind::TooLong),
            _ => invalid(&error),
        }
    })
}

fn invalid(error: &serde_json::Error) -> Error {
    Error::bad_parameter(format!("invalid JSON: {error}"))
}

/// A JSON value whose objects keep the order and the doubles of their keys.
#[derive(Debug, Clone, Default)]
enum Tree {
    #[default]
    Null,
    Bool(bool),
    Number(serde_json::Number),
    Text(String),
    List(Vec<Tree>),
    Map(Vec<(String, Tree)>),
}

/// Builds a [`Tree`] while values are left.
#[derive(Clone, Copy)]
struct TreeSeed<'a> {
    left: &'a Cell<usize>,
}

impl<'de> DeserializeSeed<'de> for TreeSeed<'_> {
    type Value = Tree;
    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Tree, D::Error> {
        let Some(left) = self.left.get().checked_sub(1) else {
            return Err(de::Error::custom("too many values"));
        };
        self.left.set(left);
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for TreeSeed<'_> {
    type Value = Tree;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }
    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }
    fn visit_bool<E>(self, value: bool) -> Result<Tree, E> {
        Ok(Tree::Bool(value))
    }
    fn visit_i64<E>(self, value: i64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }
    fn visit_u64<E>(self, value: u64) -> Result<Tree, E> {
        Ok(Tree::Number(value.into()))
    }
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Tree, E> {
        let number = serde_json::Number::from_f64(value);
        number.map(Tree::Number).ok_or_else(|| E::custom("number out of range"))
    }
    fn visit_str<E>(self, value: &str) -> Result<Tree, E> {
        Ok(Tree::Text(value.to_owned()))
    }
    fn visit_string<E>(self, value: String) -> Result<Tree, E> {
        Ok(Tree::Text(value))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut source: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(element) = source.next_element_seed(self)? {
            list.push(element);
        }
        Ok(Tree::List(list))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut source: A) -> Result<Tree, A::Error> {
        let mut map = Vec::new();
        while let Some(key) = source.next_key::<String>()? {
            map.push((key, source.next_value_seed(self)?));
        }
        Ok(Tree::Map(map))
    }
}

impl Tree {
    fn unexpected(&self) -> de::Unexpected<'_> {
        match self {
            Tree::Null => de::Unexpected::Unit,
            Tree::Bool(value) => de::Unexpected::Bool(*value),
            Tree::Number(_) => de::Unexpected::Other("number"),
            Tree::Text(text) => de::Unexpected::Str(text),
            Tree::List(_) => de::Unexpected::Other("list"),
            Tree::Map(_) => de::Unexpected::Other("object"),
        }
    }

    fn mismatch<T>(&self, expected: &dyn de::Expected) -> Result<T, serde_json::Error> {
        Err(de::Error::invalid_type(self.unexpected(), expected))
    }

    fn whole<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, serde_json::Error> {
        match self {
            Tree::Null => visitor.visit_u64(0),
            Tree::Number(ref number) => match (number.as_u64(), number.as_i64()) {
                (Some(number), _) => visitor.visit_u64(number),
                (None, Some(number)) => visitor.visit_i64(number),
                (None, None) => self.mismatch(&visitor),
            },
            other => other.mismatch(&visitor),
        }
    }
}

/// The entries of an object: each field that the struct knows once, by the struct's own name.
fn fields_of(map: Vec<(String, Tree)>, fields: &[&'static str]) -> Vec<(&'static str, Tree)> {
    let mut known: Vec<(&'static str, Tree)> = Vec::new();
    for (key, value) in map {
        // An exact name is preferred to one in another case, as two fields may differ in case
        // alone (`id`, `ID`).
        let exact = fields.iter().find(|field| **field == key);
        let field = exact.or_else(|| fields.iter().find(|field| field.eq_ignore_ascii_case(&key)));
        let Some(&field) = field else { continue };
        if matches!(value, Tree::Null) {
            continue; // as in Go, a null leaves what was there
        }
        match known.iter_mut().find(|(name, _)| *name == field) {
            Some(entry) => entry.1 = value,
            None => known.push((field, value)),
        }
    }
    known
}

/// Gives a struct its fields, and puts a field's name before what is wrong in it.
struct Fields {
    rest: std::vec::IntoIter<(&'static str, Tree)>,
    value: Option<(&'static str, Tree)>,
}

impl<'de> MapAccess<'de> for Fields {
    type Error = serde_json::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Self::Error> {
        self.value = self.rest.next();
        let Some((field, _)) = self.value else { return Ok(None) };
        let name: de::value::BorrowedStrDeserializer<'_, Self::Error> =
            de::value::BorrowedStrDeserializer::new(field);
        seed.deserialize(name).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(
        &mut self,
        seed: V,
    ) -> Result<V::Value, Self::Error> {
        let (field, value) = self.value.take().unwrap_or_default();
        seed.deserialize(value).map_err(|why| de::Error::custom(format!("{field}: {why}")))
    }
}

/// The entries of a map, the last of each key; null values stay, as zero values.
fn last_of_each(map: Vec<(String, Tree)>) -> std::collections::BTreeMap<String, Tree> {
    map.into_iter().into_map()
}

macro_rules! whole_numbers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
            self.whole(visitor)
        }
    )*};
}

macro_rules! texts {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
            match self {
                Tree::Null => visitor.visit_str(""),
                Tree::Text(text) => visitor.visit_string(text),
                other => other.mismatch(&visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Tree {
    type Error = serde_json::Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self {
            Tree::Null => visitor.visit_unit(),
            Tree::Bool(value) => visitor.visit_bool(value),
            Tree::Number(number) => match number.as_f64() {
                Some(float) if number.is_f64() => visitor.visit_f64(float),
                _ => Tree::Number(number).whole(visitor),
            },
            Tree::Text(text) => visitor.visit_string(text),
            list @ Tree::List(_) => list.deserialize_seq(visitor),
            map @ Tree::Map(_) => map.deserialize_map(visitor),
        }
    }

    whole_numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    texts! {
        deserialize_char deserialize_str deserialize_string deserialize_bytes
        deserialize_byte_buf deserialize_identifier
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self {
            Tree::Null => visitor.visit_bool(false),
            Tree::Bool(value) => visitor.visit_bool(value),
            other => other.mismatch(&visitor),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self {
            Tree::Null => visitor.visit_f64(0.0),
            Tree::Number(ref number) => match number.as_f64() {
                Some(number) => visitor.visit_f64(number),
                None => self.mismatch(&visitor),
            },
            other => other.mismatch(&visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self {
            Tree::Null => visitor.visit_none(),
            some => visitor.visit_some(some),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        self.deserialize_any(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.deserialize_any(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        match self {
            Tree::Null => visitor.visit_seq(de::value::SeqDeserializer::new([].into_iter())
                as de::value::SeqDeserializer<std::array::IntoIter<Tree, 0>, Self::Error>),
            Tree::List(list) => {
                visitor.visit_seq(de::value::SeqDeserializer::new(list.into_iter()))
            }
            other => other.mismatch(&visitor),
        }
    }

    /// An array of fixed length: what is missing is zero, what is too much is ignored.
    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        let mut list = match self {
            Tree::Null => Vec::new(),
            Tree::List(list) => list,
            other => return other.mismatch(&visitor),
        };
        list.resize(len, Tree::Null);
        visitor.visit_seq(de::value::SeqDeserializer::new(list.into_iter()))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        let map = match self {
            Tree::Null => Vec::new(),
            Tree::Map(map) => map,
            other => return other.mismatch(&visitor),
        };
        visitor.visit_map(de::value::MapDeserializer::new(last_of_each(map).into_iter()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        let map = match self {
            Tree::Null => Vec::new(),
            Tree::Map(map) => map,
            other => return other.mismatch(&visitor),
        };
        visitor.visit_map(Fields { rest: fields_of(map, fields).into_iter(), value: None })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Self::Error> {
        match self {
            Tree::Text(text) => visitor.visit_enum(text.into_deserializer()),
            other => other.mismatch(&visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Self::Error> {
        visitor.visit_unit()
    }
}

impl IntoDeserializer<'_, serde_json::Error> for Tree {
    type Deserializer = Tree;
    fn into_deserializer(self) -> Tree {
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, rename_all = "PascalCase")]
    struct Thing {
        name: String,
        count: i64,
        on: bool,
        #[serde(deserialize_with = "crate::base::fields::string_or_list")]
        cmd: Option<Vec<String>>,
        words: Option<Vec<String>>,
        map: BTreeMap<String, Option<i64>>,
        labels: BTreeMap<String, String>,
        size: [u64; 2],
        inner: Option<Box<Thing>>,
    }

    fn read(text: &str) -> Result<Thing> {
        from_request(text.as_bytes())
    }

    #[test]
    fn bodies_are_read_as_go_reads_them() {
        let check = |text: &str, expected: Thing| {
            assert_eq!(read(text).expect(text), expected, "{text}");
        };
        let named = |name: &str| Thing { name: name.into(), ..Thing::default() };
        let words = |list: &[&str]| Some(list.iter().map(|&w| w.to_owned()).collect());
        check("{}", Thing::default());
        check("null", Thing::default());
        check(r#"{"NAME":"a","unknown":[{"x":1}]} trailing {"#, named("a"));
        check(r#"{"Name":"a","nAmE":"b"}"#, named("b"));
        check(r#"{"name":"b","Name":"a","Name":null}"#, named("a"));
        check(r#"{"Cmd":"true"}"#, Thing { cmd: words(&["true"]), ..Thing::default() });
        check(r#"{"Cmd":[]}"#, Thing { cmd: words(&[]), ..Thing::default() });
        check(r#"{"Cmd":null,"Words":null}"#, Thing::default());
        check(r#"{"words":["a",null]}"#, Thing { words: words(&["a", ""]), ..Thing::default() });
        check(
            r#"{"Labels":{"a":"1","A":"2","a":"3","n":null}}"#,
            Thing {
                labels: [("A", "2"), ("a", "3"), ("n", "")]
                    .map(|(k, v)| (k.to_owned(), v.to_owned()))
                    .into(),
                ..Thing::default()
            },
        );
        check(r#"{"Size":[7]}"#, Thing { size: [7, 0], ..Thing::default() });
        check(r#"{"Size":[7,8,9]}"#, Thing { size: [7, 8], ..Thing::default() });
        check(
            r#"{"inner":{"COUNT":-3,"on":true}}"#,
            Thing {
                inner: Some(Box::new(Thing { count: -3, on: true, ..Thing::default() })),
                ..Thing::default()
            },
        );
        assert_eq!(from_request::<Thing>(b"{\"Name\":\"\xff\"}").unwrap(), named("\u{fffd}"));
    }

    #[test]
    fn wrong_bodies_are_refused_and_never_panic() {
        for bad in [
            "",
            "  \n",
            "{",
            "[]",
            "\"x\"",
            "{\"Count\":1.5}",
            "{\"Count\":\"1\"}",
            "{\"Count\":99999999999999999999}",
            "{\"Name\":1}",
            "{\"Name\":[]}",
            "{\"On\":1}",
            "{\"Words\":\"x\"}",
            "{\"Words\":{}}",
            "{\"Cmd\":[1]}",
            "{\"Cmd\":{}}",
            "{\"Size\":{}}",
            "{\"Labels\":[]}",
            "{\"Name\":1e999}",
        ] {
            let error = read(bad).expect_err(bad);
            assert_eq!(error.kind(), Kind::BadParameter, "{bad}");
        }
        assert!(read("").unwrap_err().to_string().contains("EOF"));
        assert!(read(&"[".repeat(100_000)).is_err());
        assert!(read(&"{\"inner\":".repeat(50_000)).is_err());
        let wide = format!("{{\"x\":[{}0]}}", "0,".repeat(MAX_VALUES));
        let error = read(&wide).unwrap_err();
        assert!(error.to_string().contains("too many values"));
        assert_eq!(error.kind(), Kind::TooLong);
        assert!(from_answer::<Thing>(wide.as_bytes()).is_ok());
    }

    #[test]
    fn a_wrong_type_is_told_with_its_field() {
        let error = read(r#"{"inner":{"Count":"x"}}"#).unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid JSON: Inner: Count: invalid type: string \"x\", expected i64"
        );
    }

    #[test]
    fn the_deepest_body_fits_the_stack_of_a_connection() {
        let work = || {
            for depth in [100, 126, 127, 128, 129] {
                for (open, close) in [("[", "]"), ("{\"inner\":", "}"), ("{\"map\":", "}")] {
                    let body = format!("{}null{}", open.repeat(depth), close.repeat(depth));
                    drop(read(&body));
                    drop(from_request::<serde_json::Value>(body.as_bytes()));
                }
            }
        };
        let thread = std::thread::Builder::new().stack_size(512 << 10);
        thread.spawn(work).unwrap().join().unwrap();
    }

    #[test]
    fn damaged_bodies_never_panic() {
        let good = br#"{"Name":"a","Cmd":["x",null],"Map":{"a":1,"b":null},"Inner":{"Size":[1,2]},"On":true,"Count":-12}"#;
        let mut state = 0x2545_f491_u32;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 17;
            state ^= state << 5;
            state
        };
        for _ in 0..20_000 {
            let mut bytes = good.to_vec();
            for _ in 0..=random() % 4 {
                let at = random() as usize % bytes.len();
                match random() % 3 {
                    0 => bytes[at] = b"{}[]\",:0nte\\\xff"[random() as usize % 13],
                    1 => drop(bytes.remove(at)),
                    _ => bytes.truncate(at.max(4)),
                }
            }
            drop(from_request::<Thing>(&bytes));
        }
    }
}
