//! Addresses to listen on.

use std::net::{IpAddr, SocketAddr};

use serde::de::{Deserialize, Deserializer, Error};

/// Reads `IP:PORT`, for `#[serde(deserialize_with)]`.
///
/// # Errors
/// When the text is anything else; the message says what is right.
pub fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    read(&String::deserialize(deserializer)?).map_err(D::Error::custom)
}

fn read(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| {
        let expected = "expected IP:PORT, such as 127.0.0.1:8080, 0.0.0.0:8080 for every network, \
                        or [::1]:8080";
        meant(text).map_or_else(
            || expected.to_owned(),
            |meant| format!("{expected}; {meant} is probably meant"),
        )
    })
}

/// Guesses what a wrong address was meant to be: a port, `localhost`, a URL, IPv6 without brackets.
fn meant(text: &str) -> Option<SocketAddr> {
    let text = text.trim_start_matches("http://").trim_end_matches('/');
    let (host, port) = text.rsplit_once(':').unwrap_or(("", text));
    let ip: IpAddr = match host {
        "" | "localhost" => [127, 0, 0, 1].into(),
        "*" => [0, 0, 0, 0].into(),
        host => host.parse().ok()?,
    };
    Some((ip, port.parse().ok()?).into())
}

/// Whether two listeners cannot have these addresses at the same time: the ports are equal, and so
/// are the IPs, or one IP includes the other. Port 0 means any free port.
pub fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let (ip, other_ip) = (one.ip().to_canonical(), other.ip().to_canonical());
    one.port() == other.port()
        && one.port() != 0
        && (ip == other_ip || covers(ip, other_ip) || covers(other_ip, ip))
}

/// Linux lets `[::]` accept IPv4 connections as well.
const fn covers(wildcard: IpAddr, ip: IpAddr) -> bool {
    wildcard.is_unspecified() && (wildcard.is_ipv6() || ip.is_ipv4())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_address_is_refused_with_the_one_that_is_probably_meant() {
        for (text, guess) in [
            ("9090", "; 127.0.0.1:9090 is probably meant"),
            (":9090", "; 127.0.0.1:9090 is probably meant"),
            ("localhost:9090", "; 127.0.0.1:9090 is probably meant"),
            ("*:80", "; 0.0.0.0:80 is probably meant"),
            ("http://0.0.0.0:80/", "; 0.0.0.0:80 is probably meant"),
            ("::1:8080", "; [::1]:8080 is probably meant"),
            ("127.0.0.1", "or [::1]:8080"),
            ("127.0.0.1:80800", "or [::1]:8080"),
            ("mirror.example:80", "or [::1]:8080"),
            ("nine thousand", "or [::1]:8080"),
        ] {
            let error = read(text).unwrap_err();
            assert!(
                error.starts_with("expected IP:PORT") && error.ends_with(guess),
                "{error}"
            );
        }
        for text in ["127.0.0.1:0", "[::]:8080", "0.0.0.0:65535"] {
            assert_eq!(read(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn addresses_overlap_when_only_one_listener_can_have_them() {
        for (one, other, expected) in [
            ("127.0.0.1:9090", "127.0.0.1:9090", true),
            ("0.0.0.0:9090", "127.0.0.1:9090", true),
            ("[::]:9090", "0.0.0.0:9090", true),
            ("[::]:9090", "127.0.0.1:9090", true),
            ("[::]:9090", "[::1]:9090", true),
            ("[::ffff:127.0.0.1]:9090", "127.0.0.1:9090", true),
            ("127.0.0.1:9090", "127.0.0.1:9091", false),
            ("127.0.0.1:9090", "127.0.0.2:9090", false),
            ("0.0.0.0:9090", "[::1]:9090", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
        ] {
            let (one, other) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(overlap(one, other), expected, "{one} {other}");
            assert_eq!(overlap(other, one), expected, "{other} {one}");
        }
    }

    /// Checks that `overlap` agrees with the system, for the addresses that this system has.
    #[test]
    fn the_system_agrees() {
        for (one, other) in [
            ("127.0.0.1", "127.0.0.1"),
            ("0.0.0.0", "127.0.0.1"),
            ("127.0.0.1", "127.0.0.2"),
            ("::", "127.0.0.1"),
            ("0.0.0.0", "::1"),
        ] {
            let ip = |text: &str| text.parse::<IpAddr>().unwrap();
            let Ok(first) = std::net::TcpListener::bind((ip(one), 0)) else {
                continue; // No IPv6 here.
            };
            let address = first.local_addr().unwrap();
            let second = SocketAddr::new(ip(other), address.port());
            let taken = std::net::TcpListener::bind(second)
                .is_err_and(|error| error.kind() == std::io::ErrorKind::AddrInUse);
            assert_eq!(overlap(address, second), taken, "{address} {second}");
        }
    }
}
