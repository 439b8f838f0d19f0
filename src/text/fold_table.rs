//! What single characters fold to: compatibility forms, accents, look-alikes.
//!
//! `fold.bin` is generated and checked by the test in this file from two
//! well-kept crates, so nothing of them is linked into the filter:
//! `unicode-normalization` (Unicode Character Database, NFKC and NFKD) and
//! `unicode-security` (UTS #39 `confusables.txt`). `UPDATE_TABLES=1 cargo test
//! fold_table` rewrites it after one of them moved to a newer Unicode.
//!
//! Layout, all little endian: 512 bytes mapping the high bits of a code point
//! to a page of folds (0 = none), 512 bytes the same for look-alikes, one byte
//! each counting those pages, the pages of folds (256 x u16: below 128 an
//! ASCII character, above that an offset into the pool, plus 128), the pages
//! of look-alikes (256 x u8, ASCII), and the pool of length-prefixed UTF-8.

static TABLE: &[u8] = include_bytes!("fold.bin");

const INDEX: usize = 512;
const FOLD_PAGES: usize = 2 * INDEX + 2;

/// The replacement of `c` under compatibility folding, if it has one. Letters
/// of the Latin script lose their marks; those of other scripts keep them.
pub(super) fn fold(c: char, buffer: &mut [u8; 1]) -> Option<&str> {
    let (high, low) = split(c);
    let page = usize::from(*TABLE.get(high).filter(|_| high < INDEX)?);
    let entry = FOLD_PAGES + page.checked_sub(1)? * 512 + low * 2;
    let code = u16::from_le_bytes([*TABLE.get(entry)?, *TABLE.get(entry + 1)?]);
    match code {
        0 => None,
        1..=127 => {
            buffer[0] = code as u8;
            std::str::from_utf8(buffer).ok()
        }
        _ => {
            let at = pool() + usize::from(code) - 128;
            let len = usize::from(*TABLE.get(at)?);
            std::str::from_utf8(TABLE.get(at + 1..at + 1 + len)?).ok()
        }
    }
}

/// The ASCII letter or digit `c` of another script can be mistaken for.
pub(super) fn look_alike(c: char) -> Option<char> {
    let (high, low) = split(c);
    let page = usize::from(*TABLE.get(INDEX + high).filter(|_| high < INDEX)?);
    let entry = look_alikes() + page.checked_sub(1)? * 256 + low;
    TABLE.get(entry).filter(|b| **b != 0).map(|b| char::from(*b))
}

fn split(c: char) -> (usize, usize) {
    let c = c as usize;
    (c >> 8, c & 0xff)
}

fn count(at: usize) -> usize {
    TABLE.get(at).copied().map_or(0, usize::from)
}

fn look_alikes() -> usize {
    FOLD_PAGES + count(2 * INDEX) * 512
}

fn pool() -> usize {
    look_alikes() + count(2 * INDEX + 1) * 256
}

#[cfg(all(test, not(target_arch = "wasm32")))]
#[allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::string_slice)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use unicode_normalization::UnicodeNormalization;
    use unicode_normalization::char::is_combining_mark;

    /// Letters the data leaves alone because they are no compatibility forms:
    /// small capitals, turned and stroked letters, quotes and dashes.
    const BY_HAND: &[(&str, &str)] = &[
        ("ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘǫʀꜱᴛᴜᴠᴡʏᴢꞯ", "abcdefghijklmnopqrstuvwyzq"),
        ("ɐǝɹʇɥʎʍɯʌʞᴉƃɔɟɾɓʁʃ", "aerthywmvkigcfjbrs"),
        ("øØđĐłŁħĦŧŦıȷſɨʉɵƶƀǥɉɍɏɇ", "oOdDlLhHtTijsiuozbgjrye"),
        ("‘’‚‛′´ʹʼ‹›", "''''''''''"),
        ("“”„‟″«»", "\"\"\"\"\"\"\""),
        ("‐‑‒–—―−⁃", "--------"),
        ("\u{1680}\u{2028}\u{2029}\u{85}\u{2800}", " \n\n\n "),
    ];
    const BY_HAND_LONG: &[(char, &str)] = &[
        ('ß', "ss"),
        ('ẞ', "SS"),
        ('æ', "ae"),
        ('Æ', "AE"),
        ('œ', "oe"),
        ('Œ', "OE"),
        ('þ', "th"),
        ('ð', "d"),
    ];

    /// Look-alikes UTS #39 does not list (it compares glyphs of a text font,
    /// writers of disguised text are less strict) or sends to `l`.
    const LOOK_ALIKES_BY_HAND: &[(&str, &str)] = &[
        ("АВЕКМНОРСТУХІЈЅаеіјорсухѕһԁԛԝӏгтнкмвпи", "ABEKMHOPCTYXIJSaeijopcyxshdqwlrthkmbnu"),
        ("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧαβγεηικνορτυχωμσ", "ABEZHIKMNOPTYXabyenikvoptuxwuo"),
    ];

    fn is_latin(c: char) -> bool {
        c.is_ascii_alphabetic()
            || matches!(c as u32, 0xC0..=0x2AF | 0x1D00..=0x1DBF | 0x1E00..=0x1EFF | 0x2C60..=0x2C7F
                | 0xA720..=0xA7FF | 0xAB30..=0xAB6F)
    }

    /// Scripts whose letters stand for themselves: Hangul is folded nowhere,
    /// ideographs and right-to-left scripts are not mistaken for Latin.
    fn is_left_alone(c: u32) -> bool {
        matches!(c, 0x1100..=0x11FF | 0x3130..=0x318F | 0xA960..=0xA97F | 0xAC00..=0xD7FF
            | 0xF900..=0xFAFF | 0xFFA0..=0xFFDF)
    }

    fn has_no_look_alikes(c: u32) -> bool {
        matches!(c, 0x590..=0x139F | 0x1400..=0x1CFF | 0x2DE0..=0xA4CF | 0xA4FE..=0xA63F | 0xA800..=0xAB2F
            | 0xABC0..=0xFEFF | 0x10800..=0x11FFF | 0x1E800..=0x1FFFF)
    }

    fn letter(base: u8, c: u32, first: u32) -> Option<String> {
        Some(char::from(base + u8::try_from(c - first).unwrap()).to_string())
    }

    /// Enclosed letters without a decomposition, or one with brackets.
    fn enclosed(c: u32) -> Option<String> {
        match c {
            0x249C..=0x24B5 => letter(b'a', c, 0x249C),
            0x1F110..=0x1F129 => letter(b'A', c, 0x1F110),
            0x1F150..=0x1F169 => letter(b'A', c, 0x1F150),
            0x1F170..=0x1F189 => letter(b'A', c, 0x1F170),
            0x1F1E6..=0x1F1FF => letter(b'A', c, 0x1F1E6),
            _ => None,
        }
    }

    fn by_hand(c: char, table: &[(&str, &str)]) -> Option<char> {
        let mut found = table.iter().filter(|(from, _)| from.contains(c));
        found.next_back().and_then(|(from, to)| to.chars().nth(from.chars().position(|f| f == c)?))
    }

    fn lower(c: char) -> String {
        if c.is_ascii() { c.to_string() } else { c.to_lowercase().collect() }
    }

    fn folded(c: char) -> Option<String> {
        if let Some(hand) = by_hand(c, BY_HAND) {
            return Some(hand.to_string());
        }
        if let Some((_, hand)) = BY_HAND_LONG.iter().find(|(from, _)| *from == c) {
            return Some((*hand).to_string());
        }
        if let Some(letter) = enclosed(c as u32) {
            return Some(letter);
        }
        if is_left_alone(c as u32) || is_combining_mark(c) {
            return None;
        }
        let mut out = String::new();
        let mut latin = false;
        for d in c.nfkd() {
            if is_combining_mark(d) && latin {
                continue;
            }
            latin = is_latin(d) || d.is_ascii();
            out.push(by_hand(d, BY_HAND).unwrap_or(d));
        }
        let mut out: String = out.nfkc().flat_map(|c| lower(c).chars().collect::<Vec<_>>()).collect();
        let skeleton: String = unicode_security::confusable_detection::skeleton(&out).collect();
        if is_latin(c) && !out.is_ascii() && skeleton.len() == 1 {
            out = skeleton;
        }
        // Case alone is folded by the standard library's table.
        (out != c.to_string() && out != c.to_lowercase().to_string()).then_some(out)
    }

    fn looks_like(c: char) -> Option<char> {
        if let Some(hand) = by_hand(c, LOOK_ALIKES_BY_HAND) {
            return Some(hand);
        }
        if has_no_look_alikes(c as u32) || folded(c).is_some() || is_combining_mark(c) {
            return None;
        }
        let skeleton: String =
            unicode_security::confusable_detection::skeleton(c.encode_utf8(&mut [0; 4])).collect();
        let mut chars = skeleton.chars();
        chars.next().filter(|s| s.is_ascii_alphanumeric() && chars.next().is_none())
    }

    fn generate() -> Vec<u8> {
        let (mut index, mut pool, mut offsets) = ([0u8; 2 * INDEX], Vec::new(), BTreeMap::new());
        let (mut folds, mut alikes) = (Vec::<u8>::new(), Vec::<u8>::new());
        for high in 0..INDEX {
            let chars =
                (0..256).map(|low| char::from_u32(((high << 8) | low) as u32).filter(|c| !c.is_ascii()));
            // Ideographs, Hangul and historic scripts: nothing to fold, and most
            // of the code points there are.
            if matches!(high, 0x34..=0x9F | 0xAC..=0xD7 | 0x120..=0x15F | 0x170..=0x1AF) {
                continue;
            }
            let page: Vec<u16> = chars
                .clone()
                .map(|c| {
                    let Some(out) = c.and_then(folded) else { return 0 };
                    // An expansion beyond three times the source would let
                    // input grow its own budget: U+FDFA has 18 letters.
                    if out.len() > 3 * c.unwrap().len_utf8() {
                        return 0;
                    }
                    if out.len() == 1 {
                        return u16::from(out.as_bytes()[0]);
                    }
                    let at = *offsets.entry(out.clone()).or_insert_with(|| {
                        pool.push(out.len() as u8);
                        pool.extend_from_slice(out.as_bytes());
                        pool.len() - out.len() - 1
                    });
                    u16::try_from(at + 128).unwrap()
                })
                .collect();
            if page.iter().any(|code| *code != 0) {
                folds.extend(page.iter().flat_map(|code| code.to_le_bytes()));
                index[high] = u8::try_from(folds.len() / 512).unwrap();
            }
            let page: Vec<u8> = chars.map(|c| c.and_then(looks_like).map_or(0, |a| a as u8)).collect();
            if page.iter().any(|a| *a != 0) {
                alikes.extend(page);
                index[INDEX + high] = u8::try_from(alikes.len() / 256).unwrap();
            }
        }
        let counts = [(folds.len() / 512) as u8, (alikes.len() / 256) as u8];
        [&index[..], &counts, &folds, &alikes, &pool].concat()
    }

    #[test]
    fn the_committed_table_is_what_the_unicode_data_gives() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/text/fold.bin");
        let made = generate();
        if std::env::var_os("UPDATE_TABLES").is_some() {
            std::fs::write(path, &made).unwrap();
        }
        assert!(made == std::fs::read(path).unwrap(), "run UPDATE_TABLES=1 cargo test --lib fold_table");
    }

    #[test]
    fn characters_fold_to_what_a_reader_sees() {
        let table = [
            ('Ａ', "A"),
            ('ﬁ', "fi"),
            ('é', "e"),
            ('Ő', "O"),
            ('ß', "ss"),
            ('𝓰', "g"),
            ('ⓩ', "z"),
            ('🅰', "A"),
            ('ᴛ', "t"),
            ('ǝ', "e"),
            ('\u{3000}', " "),
            ('’', "'"),
            ('…', "..."),
            ('ɡ', "g"),
            ('ℓ', "l"),
            ('ﾊ', "ハ"),
            ('ﺏ', "ب"),
            ('²', "2"),
            ('🇺', "U"),
            ('⒜', "a"),
            ('𝛼', "α"),
        ];
        for (c, expected) in table {
            assert_eq!(fold(c, &mut [0]), Some(expected), "{c}");
        }
        for c in ['a', 'й', 'ё', 'ή', 'が', '漢', '한', 'ش', '🔥', 'Ж', '\u{10FFFF}'] {
            assert_eq!(fold(c, &mut [0]), None, "{c}");
        }
    }

    #[test]
    fn look_alikes_are_letters_of_scripts_that_resemble_latin() {
        for (c, expected) in
            [('а', 'a'), ('Ѕ', 'S'), ('ο', 'o'), ('Ι', 'I'), ('ӏ', 'l'), ('Ꭺ', 'A'), ('ꓮ', 'A')]
        {
            assert_eq!(look_alike(c), Some(expected), "{c}");
        }
        for c in ['ж', 'я', 'ψ', 'ا', 'ו', '口', 'a', 'é'] {
            assert_eq!(look_alike(c), None, "{c}");
        }
    }
}
