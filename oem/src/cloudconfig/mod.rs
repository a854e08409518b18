//! The cloud-config language.
