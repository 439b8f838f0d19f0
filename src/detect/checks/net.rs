//! `ipv4`, `ipv6`, `public_ip`, `uuid`: addresses and identifiers of machines.

use super::digits::Few;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Four decimal numbers to 255, as RFC 6943 section 3.1.1 wants them: strict.
pub(super) fn ipv4(text: &str) -> bool {
    text.parse::<Ipv4Addr>().is_ok()
}

/// RFC 4291 section 2.2, any of its forms.
pub(super) fn ipv6(text: &str) -> bool {
    text.parse::<Ipv6Addr>().is_ok()
}

/// An address that names a machine of the internet: not loopback, private,
/// link-local, documentation, multicast or unspecified.
pub(super) fn public_ip(text: &str) -> bool {
    match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(ip)) => {
            let shared = matches!(ip.octets(), [100, 64..=127, ..]);
            let reserved = ip.is_unspecified() || matches!(ip.octets(), [0 | 240..=255, ..]);
            let local = ip.is_loopback() || ip.is_private() || ip.is_link_local();
            !(local || shared || reserved || ip.is_documentation() || ip.is_multicast())
        }
        Ok(IpAddr::V6(ip)) => {
            let [first, second, ..] = ip.segments();
            let global = (0x2000..0x4000).contains(&first);
            global && !(first == 0x2001 && second == 0xdb8)
        }
        Err(_) => false,
    }
}

/// RFC 9562: versions 1 to 8 of its variant.
pub(super) fn uuid(text: &str) -> bool {
    let hex: Few<u8> = text.bytes().filter(|b| *b != b'-').take(33).collect();
    let (32, Some(version), Some(variant)) = (hex.len(), hex.get(12), hex.get(16)) else { return false };
    hex.iter().all(u8::is_ascii_hexdigit) && (b'1'..=b'8').contains(version) && b"89abAB".contains(variant)
}

#[cfg(test)]
mod tests {
    use super::super::testing::table;

    #[test]
    fn tables() {
        table("ipv4", &["192.0.2.1", "255.255.255.255"], &["256.0.0.1", "1.2.3", "01.2.3.4", "1.2.3.4.5"]);
        table(
            "ipv6",
            &["::1", "2001:db8::1", "fe80::1", "::ffff:192.0.2.1"],
            &[":::", "12345::", "::1%eth0", "1:2"],
        );
        table(
            "public_ip",
            &["8.8.8.8", "100.128.0.1", "2606:4700:4700::1111"],
            &[
                "10.0.0.1",
                "127.0.0.1",
                "192.168.1.1",
                "172.16.0.1",
                "192.0.2.1",
                "100.64.0.1",
                "::1",
                "fe80::1",
                "2001:db8::1",
                "x",
            ],
        );
        // Appendix A of the RFC.
        table(
            "uuid",
            &["C232AB00-9414-11EC-B3C8-9F6BDECED846", "919108f7-52d1-4320-9bac-f847db4148a8"],
            &["919108f7-52d1-0320-9bac-f847db4148a8", "919108f7", "919108f7-52d1-4320-1bac-f847db4148a8"],
        );
    }
}
