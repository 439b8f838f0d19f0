//! What a call costs, by the operator's table of US dollars per million tokens.
//!
//! A price is kept as whole picodollars a token: a dollar a million tokens is
//! 1,000,000 of them, and six decimal places are exact. Costs are nano-dollars,
//! rounded up once a call.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::decimal::scaled;

/// Prices of one model as written: US dollars per million tokens, as numbers
/// or, for exact decimals, as strings.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceWritten {
    /// Input tokens.
    pub input: Usd,
    /// Output tokens, reasoning included. Embeddings have none.
    #[serde(default)]
    pub output: Option<Usd>,
    /// Input tokens from the provider's cache; without it they cost as others.
    #[serde(default)]
    pub cached: Option<Usd>,
}

/// An amount of US dollars.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
#[allow(missing_docs)]
pub enum Usd {
    Text(String),
    Number(serde_json::Number),
}

/// Prices by model name or pattern.
#[derive(Clone, Debug, Default)]
pub struct Table {
    /// By name, in its order. Not a map: each kind of one is kilobytes of module.
    exact: Vec<(String, Price)>,
    /// Patterns with `*`, the one with the most letters first.
    patterns: Vec<(String, Price)>,
}

/// Picodollars a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Price {
    input: u64,
    cached: u64,
    output: u64,
}

/// Places of a price in dollars per million tokens: six, for picodollars.
const PLACES: u32 = 6;

impl Table {
    /// Check and resolve. `*` in a name stands for any run of characters. The
    /// error is for the operator and names the entry.
    pub fn new(written: &BTreeMap<String, PriceWritten>) -> Result<Self, String> {
        let mut table = Table::default();
        for (model, price) in written {
            let price = price.resolve().map_err(|e| format!("`{model}`: {e}"))?;
            let model = model.to_ascii_lowercase();
            if model.contains('*') {
                table.patterns.push((model, price));
            } else {
                match table.find(&model) {
                    Ok(_) => return Err(format!("`{model}`: listed twice, letter case aside")),
                    Err(at) => table.exact.insert(at, (model, price)),
                }
            }
        }
        let letters = |pattern: &str| pattern.bytes().filter(|&b| b != b'*').count();
        crate::order::sort_by(&mut table.patterns, |(a, _), (b, _)| {
            letters(b).cmp(&letters(a)).then_with(|| a.cmp(b))
        });
        Ok(table)
    }

    /// Nano-dollars of a call, if the model has a price: by its own name, else
    /// by the pattern with the most letters. `input` includes `cached`.
    pub fn cost(&self, model: &str, input: u64, cached: u64, output: u64) -> Option<u64> {
        Some(self.price(model)?.cost(input, cached, output))
    }

    /// The same for admission, where a model without a price must not be free:
    /// it costs as the dearest one listed.
    pub fn cost_at_most(&self, model: &str, input: u64, cached: u64, output: u64) -> u64 {
        let all = || self.exact.iter().chain(&self.patterns).map(|(_, price)| price);
        self.cost(model, input, cached, output)
            .or_else(|| all().map(|price| price.cost(input, cached, output)).max())
            .unwrap_or(0)
    }

    /// No model has a price. A cost quota with such a table admits everything:
    /// configuration must refuse the two together.
    pub fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.patterns.is_empty()
    }

    /// Whether the model has a price.
    pub fn knows(&self, model: &str) -> bool {
        self.price(model).is_some()
    }

    fn price(&self, model: &str) -> Option<&Price> {
        let model = model.to_ascii_lowercase();
        let by_pattern =
            || self.patterns.iter().find(|(pattern, _)| matches(pattern, &model)).map(|(_, p)| p);
        let exact = self.find(&model).ok().and_then(|at| self.exact.get(at)).map(|(_, price)| price);
        exact.or_else(by_pattern)
    }

    /// Where a name is among the exact ones, or belongs.
    fn find(&self, model: &str) -> Result<usize, usize> {
        self.exact.binary_search_by(|(name, _)| name.as_str().cmp(model))
    }
}

impl PriceWritten {
    fn resolve(&self) -> Result<Price, String> {
        let read = |name: &str, usd: &Usd| usd.pico().map_err(|e| format!("{name}: {e}"));
        let input = read("input", &self.input)?;
        let output = self.output.as_ref().map_or(Ok(0), |usd| read("output", usd))?;
        let cached = self.cached.as_ref().map_or(Ok(input), |usd| read("cached", usd))?;
        Ok(Price { input, cached, output })
    }
}

impl Usd {
    fn pico(&self) -> Result<u64, String> {
        match self {
            Usd::Text(text) => scaled(text, PLACES),
            Usd::Number(number) => scaled(&number.to_string(), PLACES),
        }
    }
}

impl Price {
    fn cost(&self, input: u64, cached: u64, output: u64) -> u64 {
        let cached = cached.min(input);
        let parts = [(input - cached, self.input), (cached, self.cached), (output, self.output)];
        let pico = parts
            .iter()
            .map(|&(n, price)| u128::from(n) * u128::from(price))
            .fold(0_u128, u128::saturating_add);
        u64::try_from(pico.div_ceil(1000)).unwrap_or(u64::MAX)
    }
}

/// Whether a pattern with `*` matches all of a name. Each piece is taken at its
/// first place: linear in the name for each piece, no backtracking.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == name };
    let Some(mut name) = name.strip_prefix(head) else { return false };
    let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
    for piece in middle.split('*') {
        let Some((_, after)) = name.split_once(piece) else { return false };
        name = after;
    }
    name.ends_with(tail)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn table(json: &str) -> Result<Table, String> {
        Table::new(&serde_json::from_str(json).map_err(|e| e.to_string())?)
    }

    #[test]
    fn costs_are_exact() {
        let t = table(
            r#"{"gpt-4o-mini":{"input":0.15,"output":0.60,"cached":0.075},
                "gpt-4o*":{"input":"2.50","output":10},
                "*":{"input":1e-6,"output":100},
                "text-embedding-3-*":{"input":0.02}}"#,
        )
        .unwrap();
        for (model, input, cached, output, nano) in [
            ("gpt-4o-mini", 1_000_000, 0, 0, 150_000_000),
            ("gpt-4o-mini", 1_000_000, 1_000_000, 0, 75_000_000),
            ("GPT-4o-mini", 0, 0, 1, 600),
            ("gpt-4o-mini-2024-07-18", 1, 1, 1, 2500 + 10_000),
            ("text-embedding-3-small", 7, 0, 9, 140),
            // A thousandth of a nano-dollar is rounded up.
            ("other", 1, 0, 0, 1),
            ("other", u64::MAX, u64::MAX, u64::MAX, u64::MAX),
            // A provider that says more was cached than sent.
            ("gpt-4o-mini", 10, 99, 0, 750),
        ] {
            assert_eq!(t.cost(model, input, cached, output), Some(nano), "{model}");
        }
    }

    #[test]
    fn a_model_without_a_price_costs_the_most_at_admission() {
        let t = table(r#"{"a":{"input":1,"output":9},"b*":{"input":2,"output":3}}"#).unwrap();
        assert_eq!(t.cost("zzz", 10, 0, 0), None);
        assert_eq!(t.cost_at_most("zzz", 10, 0, 0), 20_000);
        assert_eq!(t.cost_at_most("zzz", 0, 0, 10), 90_000);
        assert_eq!(t.cost_at_most("a", 10, 0, 0), 10_000);
        assert!(Table::default().is_empty() && !t.is_empty());
    }

    #[test]
    fn refuses_bad_prices() {
        for json in [
            r#"{"a":{"input":-1}}"#,
            r#"{"a":{"output":1}}"#,
            r#"{"a":{"input":"1,5"}}"#,
            r#"{"a":{"input":0.1234567}}"#,
            r#"{"a":{"input":1,"price":1}}"#,
            r#"{"a":{"input":1},"A":{"input":2}}"#,
        ] {
            assert!(table(json).is_err(), "{json}");
        }
    }

    #[test]
    fn patterns() {
        for (pattern, name, yes) in [
            ("*", "", true),
            ("a*", "a", true),
            ("a*a", "a", false),
            ("a*a", "aa", true),
            ("*-mini", "gpt-mini", true),
            ("*-mini", "gpt-mini-x", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-c-b", false),
            ("a**c", "abc", true),
            ("*b*", "abc", true),
            ("*é*", "caféteria", true),
        ] {
            assert_eq!(matches(pattern, name), yes, "{pattern} {name}");
        }
    }
}
