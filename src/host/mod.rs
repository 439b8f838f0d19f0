//! The only folder that names proxy-wasm: Envoy's callbacks to events, commands to host calls.

mod callout;
mod cells;
mod hostcalls;
mod metrics;
mod root;
mod stream;

proxy_wasm::main! {{
    proxy_wasm::set_root_context(|id| Box::new(root::Root::new(id)));
}}
