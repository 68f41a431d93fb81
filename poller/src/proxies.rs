//! The usual proxy variables: refuses a value that the HTTP client would silently ignore.
//!
//! The client reads them by itself: the variable for the upstream's scheme, or else `ALL_PROXY`,
//! unless `NO_PROXY` names the upstream. It uses no proxy when it cannot use their value.

use std::ffi::OsString;

use hyper_util::client::proxy::matcher::Matcher;
use shared::service::config::Contradiction;
use url::Url;

const EXPECTED: &str = "expected http://, https://, socks5:// (names resolved here) or socks5h:// \
    (by the proxy), each with [USER:PASSWORD@]HOST:PORT, percent-encoded, and nothing around it";

/// Returns the mistake in the variable that applies to this upstream, if there is one. The value
/// may hold a password, so the message does not repeat it.
pub fn ignored(
    upstream: &Url,
    environment: impl IntoIterator<Item = (OsString, OsString)>,
) -> Option<Contradiction> {
    let environment: Vec<_> = environment.into_iter().collect();
    let value_of = |name: &str| {
        let found = environment.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.to_string_lossy().into_owned())
    };
    let first = |names: [&'static str; 2]| {
        let mut set = names
            .iter()
            .filter_map(|name| Some((*name, value_of(name)?)));
        set.next().filter(|(_, value)| !value.is_empty())
    };
    let of_scheme = match upstream.scheme() {
        "http" => ["HTTP_PROXY", "http_proxy"],
        _ => ["HTTPS_PROXY", "https_proxy"],
    };
    let (name, value) = first(of_scheme).or_else(|| first(["ALL_PROXY", "all_proxy"]))?;

    let target = upstream.as_str().parse().ok()?;
    let exempt = first(["NO_PROXY", "no_proxy"]).map_or_else(String::new, |(_, value)| value);
    let any = Matcher::builder().all("http://proxy").no(exempt).build();
    any.intercept(&target)?;

    let proxy = Matcher::builder().all(value.clone()).build();
    let hint = match proxy.intercept(&target).filter(|_| is_whole(&value)) {
        None if value.starts_with("socks:") => "; socks5:// is probably meant",
        None => "",
        Some(proxy) => {
            let uri = proxy.uri();
            let is_socks = uri
                .scheme_str()
                .is_some_and(|scheme| scheme.starts_with("socks"));
            match uri.port_u16() {
                Some(1..) => return None,
                None if !is_socks => return None,
                _ => "; the port is missing, 1080 is the usual one for SOCKS",
            }
        }
    };
    Some(Contradiction {
        variables: [name, "GHIBLI_API"],
        mistake: format!("{EXPECTED}{hint}"),
    })
}

/// Whether a proxy has a host, a numeric port, and no @ except the one that ends the credentials.
/// The client would mistake part of a password for the host, or use port 80 for a wrong port.
fn is_whole(proxy: &str) -> bool {
    let (_, rest) = proxy.split_once("://").unwrap_or(("", proxy));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = authority.rsplit('@').next().unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !host.ends_with(']') => port.parse::<u16>().ok().map(|_| name),
        _ => Some(host),
    };
    let at_signs = rest.matches('@').count();
    at_signs <= 1
        && at_signs == authority.matches('@').count()
        && name.is_some_and(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(upstream: &str, variables: &[(&str, &str)]) -> Option<String> {
        let environment = variables.iter();
        let environment = environment.map(|(name, value)| (name.into(), value.into()));
        ignored(&upstream.parse().unwrap(), environment)
            .map(|found| format!("{}: {}", found.variables[0], found.mistake))
    }

    #[test]
    fn what_the_client_would_ignore_is_refused() {
        for value in [
            "socks://127.0.0.1:1080",
            "socks5://127.0.0.1",
            "socks5h://u:s3cret@proxy",
            "ftp://u:s3cret@proxy:3128",
            "http://u:s3cret@proxy:3128\r",
            " http://u:s3cret@proxy:3128",
            "\"http://u:s3cret@proxy:3128\"",
            "http://u:s3c ret@proxy:3128",
            "http://",
            "http://u:s3cret@",
            "http://u:s3cret@:3128",
            "http://u:@s3cret@proxy:3128",
            "http://u:12/s3cret@proxy:3128",
            "http://u:?s3cret@proxy:3128",
            "http://proxy:port",
            "http://proxy:99999",
            "socks5://proxy:0",
        ] {
            let refusal = refusal("https://up", &[("HTTPS_PROXY", value)]).expect(value);
            assert!(
                refusal.starts_with("HTTPS_PROXY: expected http://"),
                "{refusal}"
            );
            assert!(!refusal.contains("s3c"), "{refusal}");
        }
    }

    #[test]
    fn what_the_client_uses_is_accepted() {
        for value in [
            "http://proxy:3128",
            "http://u:p%40ss@proxy",
            "https://proxy",
            "proxy:3128",
            "socks5://127.0.0.1:1080",
            "socks5h://u:p@[::1]:1080",
            "socks4a://proxy:1080",
            "",
        ] {
            assert_eq!(
                refusal("https://up", &[("https_proxy", value)]),
                None,
                "{value}"
            );
        }
    }

    #[test]
    fn only_what_would_be_used_counts() {
        let bad = "socks://proxy:1080";
        // A desktop system sets all of them.
        let desktop = [("HTTPS_PROXY", "http://proxy:3128"), ("ALL_PROXY", bad)];
        assert_eq!(refusal("https://up", &desktop), None);
        assert!(
            refusal("http://up", &desktop)
                .unwrap()
                .starts_with("ALL_PROXY: ")
        );
        assert_eq!(refusal("http://up", &[("HTTPS_PROXY", bad)]), None);
        for exempt in ["*", "up", "127.0.0.0/8,up"] {
            let exempted = [("all_proxy", bad), ("NO_PROXY", exempt)];
            assert_eq!(refusal("http://up", &exempted), None, "{exempt}");
        }
        assert!(
            refusal("http://up", &[("all_proxy", bad)])
                .unwrap()
                .starts_with("all_proxy: ")
        );
    }
}
