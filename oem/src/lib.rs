//! The cloud-config agent: `detect -> fetch -> decode -> parse -> plan -> apply
//! -> report`. Sources only read; `cloudconfig` and `plan` are pure; `apply`
//! never touches the network; all file access of `apply` goes through one
//! [`root::Root`].

pub mod agent;
pub mod apply;
pub mod cli;
pub mod cloudconfig;
pub mod configure;
pub mod detect;
pub mod dist;
pub mod error;
pub mod http;
pub mod ignition;
pub mod media;
pub mod metadata;
pub mod net;
pub mod network;
pub mod plan;
pub mod provider;
pub mod root;
pub mod source;
pub mod status;
pub mod userdata;
