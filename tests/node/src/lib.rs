//! Makes `#[test]` mean `#[wasm_bindgen_test]` in a crate that says
//! `#[macro_use] extern crate portcullis_node_test`, so that every unit test
//! of the core runs in Node as it stands, and none can be forgotten.

pub use wasm_bindgen_test::wasm_bindgen_test as test;
