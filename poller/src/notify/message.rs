//! The content of a webhook, and its signature after Standard Webhooks
//! (<https://www.standardwebhooks.com>).
//!
//! The body is also what Slack (`text`) and Discord (`content`) show.

use std::fmt;
use std::str::FromStr;

use chrono::SecondsFormat;
use serde::{Deserialize, Deserializer, de};
use serde_json::json;
use sha2::{Digest, Sha256};
use shared::catalogue::snapshot::Release;
use standardwebhooks::Webhook;

use crate::printable::printable;

/// How many bytes a signing secret has, by the specification.
const SECRET_BYTES: std::ops::RangeInclusive<usize> = 24..=64;

/// How many characters of a title people see; programs get all of it.
const LONGEST: usize = 200;

const EXPECTED: &str = "expected whsec_ and the Base64 of 24 to 64 random bytes: \
                        echo whsec_$(openssl rand -base64 32)";

/// What signs webhooks. Never shown.
#[derive(Clone)]
pub struct SigningSecret(std::sync::Arc<Webhook>);

impl FromStr for SigningSecret {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let encoded = text.strip_prefix("whsec_").ok_or(EXPECTED)?;
        let padding = encoded.bytes().rev().take_while(|it| *it == b'=').count();
        let bytes = encoded.len() / 4 * 3 - padding.min(2);
        if !encoded.len().is_multiple_of(4) || !SECRET_BYTES.contains(&bytes) {
            return Err(EXPECTED);
        }
        let webhook = Webhook::new(text).map_err(|_| EXPECTED)?;
        Ok(Self(webhook.into()))
    }
}

impl<'de> Deserialize<'de> for SigningSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(de::Error::custom)
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl SigningSecret {
    /// The value of `webhook-signature`. `timestamp` is in seconds of Unix time.
    ///
    /// # Errors
    /// None for a time after 1970.
    pub fn sign(&self, message: &Message, timestamp: i64) -> Result<String, String> {
        let signature = self.0.sign(&message.id, timestamp, message.body.as_bytes());
        signature.map_err(|error| error.to_string())
    }
}

/// One release, as a webhook says it. The same release gives the same message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The value of `webhook-id`: the same in each attempt and from each poller, so that a receiver
    /// can ignore what it already has.
    pub id: String,
    /// The body, as JSON.
    pub body: String,
    /// The film's id.
    pub film: String,
}

impl Message {
    /// Announces a release.
    pub fn new(release: &Release) -> Self {
        let Release {
            sequence,
            id,
            title,
            first_seen,
        } = release;
        let first_seen = first_seen.to_rfc3339_opts(SecondsFormat::Millis, true);
        let news = format!("New film: {}", printable(title, LONGEST));
        // Slack reads these three as markup.
        let escaped = news.replace('&', "&amp;").replace('<', "&lt;");
        let body = json!({
            "type": "release.appended",
            "timestamp": first_seen,
            "data": {"sequence": sequence, "id": id, "title": title, "first_seen": first_seen},
            "text": escaped.replace('>', "&gt;"),
            "content": news,
            // A title does not call anybody on Discord.
            "allowed_mentions": {"parse": []},
        });
        // Neither the sequence nor the time: pollers that lost the log may count, and see, anew. The
        // log names a film once.
        let hash = Sha256::digest(format!("release.appended {id}"));
        Self {
            id: format!("msg_{}", &format!("{hash:x}")[..32]),
            body: body.to_string(),
            film: id.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;

    use super::*;

    #[test]
    fn a_message_is_readable_by_programs_slack_and_discord() {
        let release = Release {
            sequence: 3,
            id: "film-3".into(),
            title: "A <b> & @everyone".into(),
            first_seen: DateTime::from_timestamp(1_800_000_000, 0).expect("a time"),
        };
        let message = Message::new(&release);
        assert_eq!(message, Message::new(&release));
        insta::assert_snapshot!(format!("{} {}", message.id, message.body));
    }

    #[test]
    fn only_long_secrets_are_taken_and_none_is_shown() {
        let encoded = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        let secret: SigningSecret = format!("whsec_{encoded}").parse().expect("a secret");
        assert!(!format!("{secret:?}").contains("MfKQ"));
        for text in [
            "",
            encoded,
            "whsec_",
            "whsec_c2hvcnQ=",
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaS",
            "whsec_!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!!",
            &format!("whsec_{}", "MfKQ".repeat(22)),
        ] {
            assert_eq!(
                text.parse::<SigningSecret>().err(),
                Some(EXPECTED),
                "{text}"
            );
        }
    }
}
