//! Fields of the configuration read from a tree and not by derived code, which
//! is some KB of module for each struct. For what came late; the rest of the
//! document is read without it.

use serde_json::{Map, Value};

use super::ConfigError;
use super::resolve::{error, globs};
use crate::policy::Glob;
use crate::quota::Window;

/// An object of the configuration. Its fields are known before one is read.
pub(super) struct Fields<'v> {
    pub(super) at: String,
    pub(super) map: Option<&'v Map<String, Value>>,
}

impl<'v> Fields<'v> {
    /// An absent object has no fields.
    #[inline(never)]
    pub(super) fn of(value: Option<&'v Value>, at: String, known: &[&str]) -> Result<Self, ConfigError> {
        let map = match value {
            None => None,
            Some(Value::Object(map)) => Some(map),
            Some(_) => return Err(error(at, "must be an object")),
        };
        let mut names = map.iter().flat_map(|map| map.keys());
        match names.find(|name| !known.contains(&name.as_str())) {
            Some(name) => Err(error([&at, ".", name].concat(), "unknown field")),
            None => Ok(Fields { at, map }),
        }
    }

    pub(super) fn path(&self, name: &str) -> String {
        [&self.at, ".", name].concat()
    }

    pub(super) fn get(&self, name: &str) -> Option<&'v Value> {
        self.map?.get(name)
    }

    pub(super) fn object(&self, name: &str, known: &[&str]) -> Result<Fields<'v>, ConfigError> {
        Fields::of(self.get(name), self.path(name), known)
    }

    #[inline(never)]
    pub(super) fn text(&self, name: &str) -> Result<Option<&'v str>, ConfigError> {
        match self.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(error(self.path(name), "must be a string")),
        }
    }

    #[inline(never)]
    pub(super) fn globs(&self, name: &str) -> Result<Vec<Glob>, ConfigError> {
        let items = match self.get(name) {
            None => &[],
            Some(Value::Array(items)) => items.as_slice(),
            Some(other) => std::slice::from_ref(other),
        };
        let texts: Vec<String> = items.iter().filter_map(|item| item.as_str().map(str::to_owned)).collect();
        if texts.len() < items.len() {
            return Err(error(self.path(name), "must be a list of strings"));
        }
        globs(&texts, &self.path(name))
    }

    #[inline(never)]
    pub(super) fn time(&self, name: &str, slot: &mut u64) -> Result<(), ConfigError> {
        match self.text(name)?.map(Window::parse) {
            None => Ok(()),
            Some(Ok(Window::Millis(ms))) => {
                *slot = ms;
                Ok(())
            }
            Some(_) => Err(error(self.path(name), "a time in s, m, h or d, from 1s to 366d")),
        }
    }

    /// A number in a range; those of counts may not have a fraction.
    #[inline(never)]
    pub(super) fn number(&self, name: &str, or: f64, (least, most): (u32, u64)) -> Result<f64, ConfigError> {
        let value = match self.get(name) {
            None => Some(or),
            Some(other) => other.as_f64(),
        };
        let fits = |value: &f64| *value >= f64::from(least) && *value <= most as f64;
        value.filter(fits).ok_or_else(|| {
            error(self.path(name), ["must be from ", &least.to_string(), " to ", &most.to_string()].concat())
        })
    }

    pub(super) fn count(&self, name: &str, or: u64, range: (u32, u64)) -> Result<u64, ConfigError> {
        let value = self.number(name, or as f64, range)?;
        // In range, and whole in what an operator writes.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        Ok(value as u64)
    }
}
