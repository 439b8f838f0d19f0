//! The set of transformations that led from raw text to a view of it.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// A set of transformations. A record names those that changed the text a
/// finding was made in; the empty set means the raw text.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Transforms(u64);

/// Declares the members once: constant, name for the record, meaning.
macro_rules! transforms {
    ($($(#[doc = $doc:literal])+ $ident:ident = $name:literal,)+) => {
        #[allow(non_camel_case_types, clippy::upper_case_acronyms)]
        #[repr(u8)]
        enum Bit { $($ident,)+ }

        impl Transforms {
            $($(#[doc = $doc])+ pub const $ident: Transforms = Transforms(1 << Bit::$ident as u8);)+

            /// Every member with its name, in the order of the record.
            pub const ALL: &'static [(Transforms, &'static str)] =
                &[$((Transforms::$ident, $name),)+];
        }
    };
}

transforms! {
    /// Upper case to lower case.
    CASE = "case",
    /// Runs of spaces, tabs, line ends and Unicode spaces to one space.
    WHITESPACE = "whitespace",
    /// Characters without width removed: U+200B..U+200D, U+2060, soft hyphen.
    ZERO_WIDTH = "zero_width",
    /// Bidirectional controls removed, overridden runs put in reading order.
    BIDI = "bidi",
    /// Tag characters U+E0000..U+E007F read as the ASCII they mirror.
    TAG_CHARS = "tag_chars",
    /// Variation selectors removed, or read as the bytes they can carry.
    VARIATION_SELECTOR = "variation_selector",
    /// Combining marks removed from letters.
    COMBINING = "combining",
    /// Compatibility forms (Unicode NFKC) not named below.
    NFKC = "nfkc",
    /// Full-width and half-width forms.
    FULLWIDTH = "fullwidth",
    /// Mathematical alphabets.
    MATH_ALPHANUMERIC = "math_alphanumeric",
    /// Circled, parenthesised, squared and regional-indicator letters.
    ENCLOSED = "enclosed",
    /// Look-alike letters to ASCII (UTS #39), small capitals, turned letters.
    CONFUSABLE = "confusable",
    /// Control characters and terminal escape sequences removed.
    CONTROL = "control",
    /// Symbols, emoji or markup between letters and words removed.
    SYMBOLS = "symbols",
    /// HTML tags and comment marks removed.
    MARKUP = "markup",
    /// Spaced-out letters joined: `i g n o r e`.
    SPACED = "spaced",
    /// Letters or words with punctuation between them joined: `i.g.n.o.r.e`.
    PUNCTUATED = "punctuated",
    /// Digits and symbols read as the letters they imitate: `1gn0r3`.
    LEET = "leet",
    /// Inner letters of words put in order: `ignroe prevoius`.
    SHUFFLED = "shuffled",
    /// Spaces put between words: `ignoreprevious`.
    UNSPACED = "unspaced",
    /// HTML entities, named and numeric.
    HTML_ENTITY = "html_entity",
    /// Percent escapes of URLs.
    PERCENT = "percent",
    /// `\uXXXX`, `\xXX` and their kin.
    UNICODE_ESCAPE = "unicode_escape",
    /// `\"`, `\n`, `\\` of a string inside a string.
    JSON_ESCAPE = "json_escape",
    /// Quoted-printable `=XX` (RFC 2045).
    QUOTED_PRINTABLE = "quoted_printable",
    /// Base64 (RFC 4648 section 4).
    BASE64 = "base64",
    /// Base64 with the URL alphabet (RFC 4648 section 5).
    BASE64URL = "base64url",
    /// Base32 (RFC 4648 section 6).
    BASE32 = "base32",
    /// Ascii85 (Adobe and btoa).
    ASCII85 = "ascii85",
    /// Hexadecimal bytes, with or without separators.
    HEX = "hex",
    /// Character codes in binary, octal or decimal.
    CHAR_CODES = "char_codes",
    /// International Morse code.
    MORSE = "morse",
    /// UTF-16 text found under another encoding.
    UTF16 = "utf16",
    /// gzip or zlib data found under another encoding.
    DEFLATE = "deflate",
    /// Letters rotated by 13.
    ROT13 = "rot13",
    /// Letters rotated by another number.
    CAESAR = "caesar",
    /// Printable ASCII rotated by 47.
    ROT47 = "rot47",
    /// Alphabet mirrored: A for Z.
    ATBASH = "atbash",
    /// Text, or each of its words, written backwards.
    REVERSED = "reversed",
    /// String literals joined: `"ign" + "ore"`.
    CONCAT = "concat",
}

impl Transforms {
    /// The raw text.
    pub const NONE: Transforms = Transforms(0);

    /// Those that bring out text letter by letter as its author wrote it, case
    /// included: what is matched exactly can be matched behind them.
    pub const DECODED: Transforms = Transforms::ZERO_WIDTH
        .union(Transforms::HTML_ENTITY)
        .union(Transforms::PERCENT)
        .union(Transforms::UNICODE_ESCAPE)
        .union(Transforms::JSON_ESCAPE)
        .union(Transforms::QUOTED_PRINTABLE)
        .union(Transforms::BASE64)
        .union(Transforms::BASE64URL)
        .union(Transforms::BASE32)
        .union(Transforms::ASCII85)
        .union(Transforms::HEX)
        .union(Transforms::CHAR_CODES)
        .union(Transforms::UTF16)
        .union(Transforms::DEFLATE)
        .union(Transforms::CONCAT);

    /// Whether no transformation is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether every member of `other` is in the set.
    pub const fn contains(self, other: Transforms) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether some member of `other` is in the set.
    pub const fn intersects(self, other: Transforms) -> bool {
        self.0 & other.0 != 0
    }

    /// Adds the members of `other`.
    pub const fn insert(&mut self, other: Transforms) {
        self.0 |= other.0;
    }

    /// Both sets together, usable in constants.
    pub const fn union(self, other: Transforms) -> Transforms {
        Transforms(self.0 | other.0)
    }

    /// The members of `self` that are not in `other`.
    pub const fn without(self, other: Transforms) -> Transforms {
        Transforms(self.0 & !other.0)
    }

    /// Number of members.
    pub const fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Names of the members, in the order of [`Transforms::ALL`].
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        Self::ALL.iter().filter(move |(bit, _)| self.contains(*bit)).map(|(_, name)| *name)
    }

    /// The member with this name.
    pub fn from_name(name: &str) -> Option<Transforms> {
        Self::ALL.iter().find(|(_, n)| *n == name).map(|(bit, _)| *bit)
    }
}

impl BitOr for Transforms {
    type Output = Transforms;

    fn bitor(self, other: Transforms) -> Transforms {
        self.union(other)
    }
}

impl BitOrAssign for Transforms {
    fn bitor_assign(&mut self, other: Transforms) {
        self.insert(other);
    }
}

impl fmt::Debug for Transforms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_member_has_its_own_bit_and_name() {
        let bits: BTreeSet<_> = Transforms::ALL.iter().map(|(bit, _)| *bit).collect();
        let names: BTreeSet<_> = Transforms::ALL.iter().map(|(_, name)| *name).collect();
        assert_eq!(bits.len(), Transforms::ALL.len());
        assert_eq!(names.len(), Transforms::ALL.len());
        assert!(bits.iter().all(|bit| bit.len() == 1));
        for (bit, name) in Transforms::ALL {
            assert_eq!(Transforms::from_name(name), Some(*bit), "{name}");
        }
    }

    #[test]
    fn sets_combine_and_print_in_the_order_of_the_record() {
        let mut set = Transforms::BASE64 | Transforms::CASE;
        assert_eq!(set.names().collect::<Vec<_>>(), ["case", "base64"]);
        assert!(set.contains(Transforms::CASE) && !set.contains(Transforms::CASE | Transforms::HEX));
        set |= Transforms::HEX;
        assert!(set.intersects(Transforms::HEX | Transforms::LEET));
        assert_eq!(set.without(Transforms::CASE).len(), 2);
        assert_eq!(format!("{:?}", Transforms::NONE), "{}");
    }
}
