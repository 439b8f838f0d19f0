//! Checks on a match, by name: checksums, ranges, entropy.
//!
//! A rule writes `luhn`, or `entropy>=3.5` for those that give a number. Each
//! file holds one check (or those of one country) and cites its standard.
//! Separators in a match (spaces, dots, dashes, slashes) are skipped by all
//! checks of numbers.

mod americas;
mod asia;
mod be;
mod card;
mod date;
mod de;
mod device;
mod dialled;
mod digits;
mod entropy;
mod es;
mod europe;
mod fr;
mod it;
mod looks;
mod luhn;
mod mailbox;
mod mod97;
mod net;
mod nl;
mod nordic;
mod pacific;
mod phone;
mod pl;
mod registers;
mod secret;
mod token;
mod uk;
mod us;
mod verhoeff;
mod wallet;

/// One check of a rule.
#[derive(Clone, Copy, Debug)]
pub struct Check {
    /// Which it is of all checks.
    number: u8,
    kind: Kind,
    at_least: f64,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    /// Holds or not.
    Test(fn(&str) -> bool),
    /// Gives a number that must reach the rule's.
    Measure(fn(&str) -> f64),
}

/// Every check. `rules/README.md` explains them to authors.
const CHECKS: &[(&str, Kind)] = &[
    ("ar_cuit", Kind::Test(americas::cuit)),
    ("at_svnr", Kind::Test(europe::svnr)),
    ("au_abn", Kind::Test(pacific::abn)),
    ("au_acn", Kind::Test(pacific::acn)),
    ("au_medicare", Kind::Test(pacific::medicare)),
    ("au_tfn", Kind::Test(pacific::tfn)),
    ("base58check", Kind::Test(wallet::base58check)),
    ("basic_auth", Kind::Test(looks::basic_auth)),
    ("be_rrn", Kind::Test(be::rrn)),
    ("bech32", Kind::Test(wallet::bech32)),
    ("bg_egn", Kind::Test(europe::egn)),
    ("br_cnpj", Kind::Test(americas::cnpj)),
    ("br_cpf", Kind::Test(americas::cpf)),
    ("btc", Kind::Test(wallet::btc)),
    ("ca_sin", Kind::Test(americas::sin)),
    ("card", Kind::Test(card::card)),
    ("ch_ahv", Kind::Test(europe::ahv)),
    ("cl_rut", Kind::Test(americas::rut)),
    ("classes", Kind::Measure(secret::classes)),
    ("cn_resident_id", Kind::Test(asia::resident_id)),
    ("co_nit", Kind::Test(americas::nit)),
    ("crc32_base62", Kind::Test(token::crc32_base62)),
    ("cz_rc", Kind::Test(europe::rodne_cislo)),
    ("date", Kind::Test(date::date)),
    ("de_ausweis", Kind::Test(de::ausweis)),
    ("de_kvnr", Kind::Test(registers::kvnr)),
    ("de_lanr", Kind::Test(registers::lanr)),
    ("de_plz", Kind::Test(registers::plz)),
    ("de_rente", Kind::Test(de::rente)),
    ("de_steuer_id", Kind::Test(de::steuer_id)),
    ("digit_count", Kind::Measure(digits::total)),
    ("digits", Kind::Measure(digits::count)),
    ("dk_cpr", Kind::Test(nordic::cpr)),
    ("e164", Kind::Test(phone::e164)),
    ("ee_ik", Kind::Test(europe::isikukood)),
    ("email", Kind::Test(mailbox::email)),
    ("entropy", Kind::Measure(entropy::bits_per_byte)),
    ("es_cif", Kind::Test(es::cif)),
    ("es_dni", Kind::Test(es::dni)),
    ("es_nie", Kind::Test(es::nie)),
    ("fi_hetu", Kind::Test(nordic::hetu)),
    ("fi_ytunnus", Kind::Test(registers::ytunnus)),
    ("fr_nir", Kind::Test(fr::nir)),
    ("fr_siren", Kind::Test(fr::siren)),
    ("fr_siret", Kind::Test(fr::siret)),
    ("gr_amka", Kind::Test(europe::amka)),
    ("hk_id", Kind::Test(asia::hk_id)),
    ("hr_oib", Kind::Test(europe::oib)),
    ("iban", Kind::Test(mod97::iban)),
    ("icao", Kind::Test(registers::icao)),
    ("ie_pps", Kind::Test(europe::pps)),
    ("il_id", Kind::Test(asia::il_id)),
    ("imei", Kind::Test(device::imei)),
    ("in_aadhaar", Kind::Test(asia::aadhaar)),
    ("in_gstin", Kind::Test(asia::gstin)),
    ("in_pan", Kind::Test(asia::pan)),
    ("ipv4", Kind::Test(net::ipv4)),
    ("ipv4_net", Kind::Test(mailbox::ipv4_net)),
    ("ipv6", Kind::Test(net::ipv6)),
    ("ipv6_net", Kind::Test(mailbox::ipv6_net)),
    ("it_codice_fiscale", Kind::Test(it::codice_fiscale)),
    ("it_patente", Kind::Test(registers::patente)),
    ("it_piva", Kind::Test(it::piva)),
    ("jp_my_number", Kind::Test(asia::my_number)),
    ("jwt", Kind::Test(token::jwt)),
    ("kr_brn", Kind::Test(registers::brn)),
    ("kr_rrn", Kind::Test(asia::rrn)),
    ("letters", Kind::Measure(secret::letters)),
    ("luhn", Kind::Test(luhn::luhn)),
    ("lv_pk", Kind::Test(europe::personas_kods)),
    ("mac", Kind::Test(mailbox::mac)),
    ("mod97", Kind::Test(mod97::mod97)),
    ("mod_11_10", Kind::Test(de::mod_11_10)),
    ("mx_curp", Kind::Test(americas::curp)),
    ("my_nric", Kind::Test(asia::my_nric)),
    ("nanp", Kind::Test(phone::nanp)),
    ("nl_bsn", Kind::Test(nl::bsn)),
    ("no_fnr", Kind::Test(nordic::fnr)),
    ("not_epoch", Kind::Test(date::not_epoch)),
    ("not_hex", Kind::Test(looks::not_hex)),
    ("not_placeholder", Kind::Test(secret::not_placeholder)),
    ("nz_ird", Kind::Test(pacific::ird)),
    ("password_like", Kind::Test(looks::password_like)),
    ("password_weak", Kind::Test(looks::password_weak)),
    ("phone", Kind::Test(phone::phone)),
    ("phone_international", Kind::Test(dialled::phone_international)),
    ("phone_national", Kind::Test(dialled::phone_national)),
    ("pl_nip", Kind::Test(pl::nip)),
    ("pl_pesel", Kind::Test(pl::pesel)),
    ("pl_regon", Kind::Test(pl::regon)),
    ("plate", Kind::Test(device::plate)),
    ("pt_nif", Kind::Test(europe::nif)),
    ("public_ip", Kind::Test(net::public_ip)),
    ("ro_cnp", Kind::Test(europe::cnp)),
    ("ru_inn", Kind::Test(europe::inn)),
    ("ru_snils", Kind::Test(europe::snils)),
    ("scattered", Kind::Test(looks::scattered)),
    ("se_orgnr", Kind::Test(registers::orgnr)),
    ("se_personnummer", Kind::Test(nordic::personnummer)),
    ("secret_like", Kind::Test(looks::secret_like)),
    ("sg_nric", Kind::Test(asia::nric)),
    ("th_id", Kind::Test(asia::th_id)),
    ("tr_id", Kind::Test(europe::tr_id)),
    ("tw_id", Kind::Test(asia::tw_id)),
    ("ua_rnokpp", Kind::Test(europe::rnokpp)),
    ("uk_nhs", Kind::Test(uk::nhs)),
    ("uk_nino", Kind::Test(uk::nino)),
    ("uk_postcode", Kind::Test(uk::postcode)),
    ("us_aba", Kind::Test(us::aba)),
    ("us_dea", Kind::Test(us::dea)),
    ("us_ein", Kind::Test(us::ein)),
    ("us_itin", Kind::Test(us::itin)),
    ("us_npi", Kind::Test(us::npi)),
    ("us_ssn", Kind::Test(us::ssn)),
    ("uuid", Kind::Test(net::uuid)),
    ("verhoeff", Kind::Test(verhoeff::verhoeff)),
    ("vin", Kind::Test(device::vin)),
    ("yu_jmbg", Kind::Test(europe::jmbg)),
    ("za_id", Kind::Test(pacific::za_id)),
];

impl Check {
    /// Reads a check as written in a rule; the error is for its author.
    pub fn parse(written: &str) -> Result<Check, String> {
        let (name, bound) = match written.split_once(">=") {
            Some((name, bound)) => (name.trim(), Some(bound.trim())),
            None => (written.trim(), None),
        };
        let (number, kind) = (0..)
            .zip(CHECKS)
            .find(|(_, (known, _))| *known == name)
            .map(|(number, (_, kind))| (number, kind))
            .ok_or_else(|| {
                let bare = name.split(['>', '=', '<', ' ']).next().unwrap_or_default();
                let start = bare.get(..bare.len().min(3)).unwrap_or_default();
                let names = CHECKS.iter().map(|(known, _)| *known);
                let near: Vec<&str> = names
                    .filter(|known| {
                        !start.is_empty() && known.starts_with(start) || same_letters(known, bare)
                    })
                    .collect();
                match near.as_slice() {
                    _ if near.contains(&bare) => {
                        format!("no check {name:?}; a bound is written {bare}>=NUMBER")
                    }
                    [] => format!("no check {name:?}; `rules/README.md` lists them"),
                    near => format!("no check {name:?}; there is {}", near.join(", ")),
                }
            })?;
        let at_least = match (kind, bound) {
            (Kind::Test(_), None) => 1.0,
            (Kind::Test(_), Some(_)) => return Err(format!("{name:?} takes no number")),
            (Kind::Measure(_), None) => return Err(format!("{name:?} needs a number: `{name}>=…`")),
            (Kind::Measure(_), Some(bound)) => match bound.parse::<f64>() {
                Ok(number) if number.is_finite() => number,
                _ => return Err(format!("{bound:?} is not a number")),
            },
        };
        Ok(Check { number, kind: *kind, at_least })
    }

    /// Whether the check holds for `matched`.
    pub fn holds(&self, matched: &str) -> bool {
        self.value(matched) >= self.at_least
    }

    /// What the check finds; a test that holds finds 1.
    fn value(&self, matched: &str) -> f64 {
        match self.kind {
            Kind::Test(test) => f64::from(u8::from(test(matched))),
            Kind::Measure(measure) => measure(matched),
        }
    }
}

/// A slip: two letters swapped, or capitals.
fn same_letters(known: &str, written: &str) -> bool {
    let letters = |name: &str| {
        let mut letters = name.to_ascii_lowercase().into_bytes();
        crate::order::sort_by(&mut letters, Ord::cmp);
        letters
    };
    letters(known) == letters(written)
}

/// What the last checks found: several rules that know a value by the name beside it
/// ask the same of it.
#[derive(Debug, Default)]
pub(super) struct Checked {
    last: [Option<(u8, std::ops::Range<usize>, f64)>; 4],
    next: usize,
}

impl Checked {
    /// For another text.
    pub(super) fn clear(&mut self) {
        *self = Checked::default();
    }

    /// Whether the check holds for `matched`, which is at `range` of the text.
    pub(super) fn holds(&mut self, check: &Check, matched: &str, range: &std::ops::Range<usize>) -> bool {
        let known = self.last.iter().flatten().find(|(number, of, _)| *number == check.number && of == range);
        if let Some((_, _, value)) = known {
            return *value >= check.at_least;
        }
        let value = check.value(matched);
        if let Some(slot) = self.last.get_mut(self.next) {
            *slot = Some((check.number, range.clone(), value));
        }
        self.next = (self.next + 1) % self.last.len();
        value >= check.at_least
    }
}

#[cfg(test)]
#[allow(clippy::panic)]
pub(crate) mod testing {
    //! Tables for the tests of checks.

    use super::Check;

    /// Asserts that `check` holds for all of `good` and for none of `bad`.
    #[track_caller]
    pub(crate) fn table(check: &str, good: &[&str], bad: &[&str]) {
        let check = Check::parse(check).unwrap_or_else(|e| panic!("{e}"));
        for text in good {
            assert!(check.holds(text), "should hold: {text}");
        }
        for text in bad {
            assert!(!check.holds(text), "should not hold: {text}");
        }
    }

    /// Asserts that changing any one digit of a good number is noticed.
    #[track_caller]
    pub(crate) fn single_digit_errors(check: &str, good: &str) {
        let check = Check::parse(check).unwrap_or_else(|e| panic!("{e}"));
        for (i, c) in good.char_indices().filter(|(_, c)| c.is_ascii_digit()) {
            for other in ('0'..='9').filter(|o| *o != c) {
                let mut text = good.to_owned();
                text.replace_range(i..=i, &other.to_string());
                assert!(!check.holds(&text), "digit {i} of {good} changed to {other}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn written_checks() {
        for good in ["luhn", "entropy>=3.5", "entropy >= 3", "digits>=9"] {
            assert!(Check::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "lun", "luhn>=3", "entropy", "entropy>=", "entropy>=x", "entropy>=NaN", "entropy<3"] {
            assert!(Check::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn slips_are_told() {
        for (slip, want) in [("lunh", "there is luhn"), ("LUHN", "there is luhn"), ("ibna", "there is iban")]
        {
            let said = Check::parse(slip).map(|_| ()).unwrap_err();
            assert!(said.contains(want), "{said}");
        }
    }

    #[test]
    fn table_is_sorted_and_total() {
        assert!(CHECKS.windows(2).all(|w| matches!(w, [a, b] if a.0 < b.0)));
        for (name, kind) in CHECKS {
            for text in
                ["", " ", "é", "\u{0}", "0", "00000000000000000000000000000000000000000", "-", "१२३", "aé1"]
            {
                match kind {
                    Kind::Test(test) => {
                        test(text);
                    }
                    Kind::Measure(measure) => assert!(measure(text).is_finite(), "{name} {text}"),
                }
            }
        }
    }
}
