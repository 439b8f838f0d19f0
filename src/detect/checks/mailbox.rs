//! `email`: an address of a mailbox. `mac`: an address of a network card.
//! `ipv4_net`, `ipv6_net`: an address with or without zone and prefix length.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// Endings that look like domains and are file names.
const FILES: &[&str] =
    &["png", "jpg", "jpeg", "gif", "svg", "webp", "js", "ts", "css", "json", "md", "py", "so"];

/// No empty label, and no file name such as `icon@2x.png`.
pub(super) fn email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let ending = domain.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    !local.ends_with('.') && !text.contains("..") && !FILES.contains(&ending.as_str())
}

/// Not the broadcast address, not all zeros. IEEE 802.
pub(super) fn mac(text: &str) -> bool {
    let mut digits = text.bytes().filter(u8::is_ascii_alphanumeric).map(|b| b.to_ascii_lowercase());
    let Some(first) = digits.next() else { return false };
    !matches!(first, b'f' | b'0') || digits.any(|b| b != first)
}

/// Four numbers up to 255, a prefix length up to 32. RFC 4632.
pub(super) fn ipv4_net(text: &str) -> bool {
    let (address, prefix) = text.split_once('/').unwrap_or((text, "0"));
    Ipv4Addr::from_str(address).is_ok() && prefix.parse::<u8>().is_ok_and(|p| p <= 32)
}

/// The text form of RFC 4291, with a zone (RFC 4007) and a prefix length.
pub(super) fn ipv6_net(text: &str) -> bool {
    let (address, prefix) = text.split_once('/').unwrap_or((text, "0"));
    let (address, _zone) = address.split_once('%').unwrap_or((address, ""));
    Ipv6Addr::from_str(address).is_ok() && prefix.parse::<u8>().is_ok_and(|p| p <= 128)
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;

    #[test]
    fn addresses() {
        table(
            "mac",
            &["00:1A:2B:3C:4D:5E", "fe-ff-ff-ff-ff-ff"],
            &["FF:FF:FF:FF:FF:FF", "0000.0000.0000", ""],
        );
        table("ipv4_net", &["203.0.113.7", "10.0.0.0/8"], &["256.1.1.1", "1.2.3", "1.2.3.4/33", "01.2.3.4"]);
        table(
            "ipv6_net",
            &["2001:db8::1", "::1", "fe80::1%eth0/64", "2001:db8::/32"],
            &["1:2:3:4", "a::b::c", "::/129"],
        );
        table("email", &["ada@example.org"], &["icon@2x.png", "a..b@c.de", "a.@c.de", "a"]);
    }
}
