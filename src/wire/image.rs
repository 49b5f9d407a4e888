//! Images: what `list`, `inspect`, `history` and `delete` give.

// The fields are the protocol's own words, explained in its reference.
#![allow(missing_docs)]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::container::Config;
use super::container::inspect::GraphDriver;
use crate::base::fields;

fields! {
    /// An image in a list.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct Summary {
        /// Containers that use it; -1 when they were not counted.
        pub containers as "Containers": i64,
        pub created as "Created": i64,
        pub id as "Id": String,
        pub labels as "Labels": Option<BTreeMap<String, String>>,
        pub parent_id as "ParentId": String,
        pub repo_digests as "RepoDigests": Vec<String>,
        pub repo_tags as "RepoTags": Vec<String>,
        /// Bytes shared with others; -1 when they were not counted.
        pub shared_size as "SharedSize": i64,
        pub size as "Size": i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub virtual_size as "VirtualSize": Option<i64>,
    }
}

fields! {
    /// All about an image.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct Inspect {
        pub id as "Id": String,
        pub repo_tags as "RepoTags": Vec<String>,
        pub repo_digests as "RepoDigests": Vec<String>,
        pub parent as "Parent": String,
        pub comment as "Comment": String,
        pub created as "Created": String,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub container as "Container": Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub container_config as "ContainerConfig": Option<Config>,
        pub docker_version as "DockerVersion": String,
        pub author as "Author": String,
        pub config as "Config": Config,
        pub architecture as "Architecture": String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub variant as "Variant": String,
        pub os as "Os": String,
        pub size as "Size": i64,
        #[serde(skip_serializing_if = "Option::is_none")]
        pub virtual_size as "VirtualSize": Option<i64>,
        pub graph_driver as "GraphDriver": GraphDriver,
        pub root_fs as "RootFS": RootFs,
        pub metadata as "Metadata": Metadata,
    }
}

fields! {
    /// Layers of an image, by diff id, base first.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct RootFs {
        pub kind as "Type": String,
        pub layers as "Layers": Vec<String>,
    }
}

/// What is known of an image here alone.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct Metadata {
    pub last_tag_time: String,
}

fields! {
    /// One line of an image's history, newest first.
    #[derive(Debug, Clone, Default, PartialEq, Serialize)]
    pub struct History {
        pub comment as "Comment": String,
        pub created as "Created": i64,
        pub created_by as "CreatedBy": String,
        pub id as "Id": String,
        pub size as "Size": i64,
        pub tags as "Tags": Option<Vec<String>>,
    }
}

fields! {
    /// One step of an image's removal.
    #[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
    pub struct DeleteItem {
        #[serde(skip_serializing_if = "String::is_empty")]
        pub deleted as "Deleted": String,
        #[serde(skip_serializing_if = "String::is_empty")]
        pub untagged as "Untagged": String,
    }
}
