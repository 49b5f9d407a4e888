//! Messages of a progress stream: `images/create` and its like.

// The fields are the protocol's own words, explained in its reference.
#![allow(missing_docs)]

use serde::Serialize;

use crate::base::fields;

fields! {
    /// One message; each field stays away when it says nothing.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct Message {
        #[serde(skip_serializing_if = "String::is_empty")]
        pub stream: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub status: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub progress_detail as "progressDetail": Option<ProgressDetail>,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub progress: String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub id: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub error_detail as "errorDetail": Option<ErrorDetail>,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub error: String,
    }
}

fields! {
    /// How far a transfer has come, in bytes.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct ProgressDetail {
        #[serde(skip_serializing_if = "is_zero")]
        pub current: u64,
        /// 0 when it is not known.
        #[serde(skip_serializing_if = "is_zero")]
        pub total: u64,
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde gives a reference
fn is_zero(number: &u64) -> bool {
    *number == 0
}

fields! {
    /// What broke a stream off.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct ErrorDetail {
        #[serde(skip_serializing_if = "is_no_code")]
        pub code: i64,
        pub message: String,
    }
}

#[allow(clippy::trivially_copy_pass_by_ref)] // serde gives a reference
fn is_no_code(code: &i64) -> bool {
    *code == 0
}

impl Message {
    /// A line of text, about the object `id` if that is not empty.
    pub fn status(id: &str, text: impl Into<String>) -> Message {
        Message { status: text.into(), id: id.to_owned(), ..Message::default() }
    }

    /// An error, in the two places where clients look for it.
    pub fn failure(text: impl Into<String>) -> Message {
        let text = text.into();
        Message {
            error_detail: Some(ErrorDetail { code: 0, message: text.clone() }),
            error: text,
            ..Message::default()
        }
    }
}
