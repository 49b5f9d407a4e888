//! JSON types of the API, and all that depends on its version.
