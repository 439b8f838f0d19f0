//! Counters. Labels are parts of the name; `envoy/README.md` has the tag rules
//! that turn them into Prometheus labels.
//!
//! Envoy never frees a metric, so no label comes from a request: rules,
//! dialects, reasons and decisions are all known when the module is built or
//! configured.

use std::collections::HashMap;

use super::hostcalls::{count, define_counter};
use crate::session::Metric;

/// Ids of the counters defined so far.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    ids: HashMap<String, u32>,
}

impl Metrics {
    pub(super) fn add(&mut self, metric: &Metric) {
        match metric {
            Metric::Request { decision, dialect } => {
                self.count(format!("portcullis_requests_total.decision.{decision}.dialect.{dialect}"), 1);
            }
            Metric::Finding { rule, enforced } => {
                let rule = rule.replace('.', "_");
                self.count(format!("portcullis_findings_total.rule.{rule}.enforced.{enforced}"), 1);
            }
            Metric::Gap(reason) => {
                let reason = reason.replace('.', "_");
                self.count(format!("portcullis_coverage_gaps_total.reason.{reason}"), 1);
            }
            Metric::Tokens { input, output } => {
                self.count("portcullis_tokens_total.direction.input".to_owned(), *input);
                self.count("portcullis_tokens_total.direction.output".to_owned(), *output);
            }
        }
    }

    fn count(&mut self, name: String, by: u64) {
        let id = match self.ids.get(&name) {
            Some(id) => *id,
            None => {
                let Ok(id) = define_counter(&name) else { return };
                self.ids.insert(name, id);
                id
            }
        };
        count(id, by);
    }
}
