//! The plugin: reads its configuration and makes a context for each stream.

use std::cell::RefCell;
use std::rc::Rc;

use proxy_wasm::traits::{Context, HttpContext, RootContext};
use proxy_wasm::types::ContextType;

use super::hostcalls::{Buffer, Level, buffer, log};
use super::metrics::Metrics;
use super::stream::Stream;
use crate::config::Config;
use crate::limits::MAX_CONFIG_BYTES;
use crate::session::Scratch;

/// State that the streams of a VM share. A VM has one thread.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) scratch: RefCell<Scratch>,
    pub(super) metrics: RefCell<Metrics>,
}

/// See the module.
pub(super) struct Root {
    id: u32,
    config: Option<Rc<Config>>,
    shared: Rc<Shared>,
}

impl Root {
    pub(super) fn new(id: u32) -> Self {
        Root { id, config: None, shared: Rc::default() }
    }
}

impl Context for Root {}

impl RootContext for Root {
    /// False: Envoy keeps the configuration it had.
    fn on_configure(&mut self, _size: usize) -> bool {
        let raw = buffer(Buffer::PluginConfiguration, MAX_CONFIG_BYTES + 1);
        match configure(&raw) {
            Ok(config) => {
                log(Level::Info, &format!("portcullis: configuration {} is in force", config.digest));
                self.config = Some(Rc::new(config));
                true
            }
            Err(e) => {
                log(Level::Error, &format!("portcullis: configuration refused: {e}"));
                false
            }
        }
    }

    fn create_http_context(&self, id: u32) -> Option<Box<dyn HttpContext>> {
        Some(Box::new(Stream::new((self.id, id), self.config.clone(), self.shared.clone())))
    }

    fn get_type(&self) -> Option<ContextType> {
        Some(ContextType::HttpContext)
    }
}

fn configure(raw: &[u8]) -> Result<Config, String> {
    if raw.len() > MAX_CONFIG_BYTES {
        return Err(format!("over {MAX_CONFIG_BYTES} bytes"));
    }
    let text = std::str::from_utf8(raw).map_err(|_| "not UTF-8 text".to_owned())?;
    if !text.trim_start().starts_with('{') {
        return Err("expected a JSON object in a google.protobuf.StringValue".to_owned());
    }
    Config::from_json(text).map_err(|e| e.to_string())
}
