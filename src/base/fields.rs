//! Structs read from JSON objects: `fields!` in place of `#[derive(Deserialize)]`.
//!
//! - Read as Go reads: what is absent or `null` keeps its default, unknown keys are ignored, of
//!   several equal keys the last wins.
//! - Costs a few instructions per field. What serde derives keeps every field in an `Option` of
//!   its own until the end, which comes to nearly a kilobyte of code for each.

use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};

/// Defines a struct that has a `Default` and implements `Deserialize` for it.
///
/// The key of a field is its name, or what stands behind `as`; `by` names a function that reads
/// the field, as in `#[serde(deserialize_with)]`. A struct that derives `Serialize` is written
/// with the same keys.
///
/// ```ignore
/// fields! {
///     /// A rate.
///     #[derive(Default, Serialize)]
///     pub struct Rate {
///         /// What is limited.
///         pub path as "Path": String,
///         pub words as "Words" by string_or_list: Option<Vec<String>>,
///     }
/// }
/// ```
macro_rules! fields {
    (
        $(#[$of_struct:meta])*
        $seen:vis struct $name:ident {
            $(
                $(#[$of_field:meta])*
                $field_seen:vis $field:ident $(as $key:literal)? $(by $by:ident)?: $type:ty
            ),* $(,)?
        }
    ) => {
        $(#[$of_struct])*
        $seen struct $name {
            $(
                $(#[$of_field])*
                $(#[serde(rename = $key)])?
                $field_seen $field: $type,
            )*
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(source: D) -> Result<$name, D::Error> {
                #[allow(non_camel_case_types)]
                enum At { $($field),* }
                const KEYS: &[&str] =
                    &[$($crate::base::fields::fields!(@key $field $($key)?)),*];
                struct Reader;
                impl<'de> serde::de::Visitor<'de> for Reader {
                    type Value = $name;
                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str(concat!("struct ", stringify!($name)))
                    }
                    fn visit_map<A: serde::de::MapAccess<'de>>(
                        self,
                        mut map: A,
                    ) -> Result<$name, A::Error> {
                        let mut read = $name::default();
                        let mut keys = $crate::base::fields::Keys::new(KEYS);
                        while let Some(at) = map.next_key_seed(&mut keys)? {
                            $(
                                if at == At::$field as usize {
                                    $crate::base::fields::fields!(
                                        @read (read.$field) map $type $(, $by)?
                                    );
                                    continue;
                                }
                            )*
                            map.next_value::<serde::de::IgnoredAny>()?;
                        }
                        Ok(read)
                    }
                }
                source.deserialize_struct(stringify!($name), KEYS, Reader)
            }
        }
    };
    (@key $field:ident) => { stringify!($field) };
    (@key $field:ident $key:literal) => { $key };
    (@read ($place:expr) $map:ident $type:ty) => {
        $crate::base::fields::read(&mut $place, &mut $map)?
    };
    (@read ($place:expr) $map:ident $type:ty, $by:ident) => {{
        struct By($type);
        impl<'de> serde::Deserialize<'de> for By {
            fn deserialize<D: serde::Deserializer<'de>>(source: D) -> Result<By, D::Error> {
                $by(source).map(By)
            }
        }
        if let Some(By(value)) = $map.next_value()? {
            $place = value;
        }
    }};
}
pub(crate) use fields;

/// Finds keys among those of a struct.
#[derive(Debug)]
pub struct Keys {
    all: &'static [&'static str],
    /// Where the next key is expected: most objects have them in the struct's own order.
    next: usize,
}

impl Keys {
    /// The keys of one struct.
    pub fn new(all: &'static [&'static str]) -> Keys {
        Keys { all, next: 0 }
    }

    fn find(&mut self, key: &str) -> usize {
        let (before, rest) = self.all.split_at(self.next);
        let at = match rest.iter().position(|known| *known == key) {
            Some(at) => before.len() + at,
            None => match before.iter().position(|known| *known == key) {
                Some(at) => at,
                None => return self.all.len(),
            },
        };
        self.next = at + 1;
        at
    }
}

/// Gives the place of a key in the struct; the number of fields for an unknown one.
impl<'de> DeserializeSeed<'de> for &mut Keys {
    type Value = usize;
    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<usize, D::Error> {
        source.deserialize_identifier(self)
    }
}

impl Visitor<'_> for &mut Keys {
    type Value = usize;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E: de::Error>(self, key: &str) -> Result<usize, E> {
        Ok(self.find(key))
    }
}

/// Reads a value into its field; `null` leaves what is there.
///
/// # Errors
/// Those of `map`.
#[inline(never)] // one copy for each type of field
pub fn read<'de, T: Deserialize<'de>, A: MapAccess<'de>>(
    field: &mut T,
    map: &mut A,
) -> Result<(), A::Error> {
    if let Some(value) = map.next_value()? {
        *field = value;
    }
    Ok(())
}

/// Reads a list of strings, or one string in its place.
///
/// # Errors
/// Those of `source`.
pub fn string_or_list<'de, D: Deserializer<'de>>(
    source: D,
) -> Result<Option<Vec<String>>, D::Error> {
    struct Words;
    impl<'de> Visitor<'de> for Words {
        type Value = Option<Vec<String>>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of strings, or a string")
        }
        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Some(vec![text.to_owned()]))
        }
        fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut words = Vec::new();
            while let Some(word) = list.next_element()? {
                words.push(word);
            }
            Ok(Some(words))
        }
    }
    source.deserialize_any(Words)
}

#[cfg(test)]
mod tests {
    use serde::Serialize;

    use super::*;

    fields! {
        #[derive(Debug, PartialEq, Serialize)]
        struct Thing {
            name as "Name": String,
            count: u32,
            words as "Words" by string_or_list: Option<Vec<String>>,
            #[serde(skip_serializing_if = "Option::is_none")]
            inner as "Inner": Option<Box<Thing>>,
        }
    }

    impl Default for Thing {
        fn default() -> Thing {
            Thing { name: "none".into(), count: 7, words: None, inner: None }
        }
    }

    fn check(text: &str, expected: Thing) {
        assert_eq!(serde_json::from_str::<Thing>(text).expect(text), expected, "{text}");
    }

    #[test]
    fn what_is_absent_or_null_keeps_its_default() {
        check("{}", Thing::default());
        check(r#"{"Name":null,"count":null,"Words":null,"Inner":null}"#, Thing::default());
        check(r#"{"name":"x","x":[{}],"count":1}"#, Thing { count: 1, ..Thing::default() });
        check(r#"{"count":1,"count":2,"count":null}"#, Thing { count: 2, ..Thing::default() });
        check(r#"{"Words":"a"}"#, Thing { words: Some(vec!["a".into()]), ..Thing::default() });
        assert!(serde_json::from_str::<Thing>(r#"{"count":"1"}"#).is_err());
        assert!(serde_json::from_str::<Thing>("[]").is_err());
    }

    #[test]
    fn keys_come_in_any_order_and_go_out_as_they_came() {
        let words = Some(vec!["a".into(), "b".into()]);
        let inner = Some(Box::new(Thing { name: "i".into(), ..Thing::default() }));
        let thing = Thing { name: "t".into(), count: 3, words, inner };
        check(
            r#"{"Inner":{"Name":"i"},"Words":["a","b"],"x":0,"Name":"t","count":3}"#,
            Thing { ..serde_json::from_str(&serde_json::to_string(&thing).unwrap()).unwrap() },
        );
        assert_eq!(
            serde_json::to_string(&thing).unwrap(),
            r#"{"Name":"t","count":3,"Words":["a","b"],"Inner":{"Name":"i","count":7,"Words":null}}"#
        );
    }
}
