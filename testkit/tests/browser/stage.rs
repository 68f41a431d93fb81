//! A browser, a mirror full of hostile text, and the place where the text would reveal itself.

use std::collections::BTreeMap;

use serde_json::Value;
use testkit::mirror::Mirror;
use testkit::process::RunningServer;

use crate::{Browser, Elsewhere, hostile};

/// The running browser, mirror and other origin.
pub(crate) struct Stage {
    pub(crate) browser: Browser,
    pub(crate) elsewhere: Elsewhere,
    pub(crate) texts: BTreeMap<&'static str, String>,
    pub(crate) catalogue: Value,
    pub(crate) server: RunningServer,
    _mirror: Mirror,
}

impl Stage {
    /// `None` without a browser.
    pub(crate) async fn set() -> Option<Self> {
        let browser = Browser::start().await?;
        let elsewhere = Elsewhere::start().await;
        let texts = hostile::texts(&format!("{}/trap", elsewhere.url()));
        let catalogue = hostile::catalogue(&texts);
        let mirror = Mirror::of(catalogue.clone()).await;
        let server = mirror.server(&[("LINKS", "upstream")]).await;
        Some(Self {
            browser,
            elsewhere,
            texts,
            catalogue,
            server,
            _mirror: mirror,
        })
    }

    /// Checks that nothing ran in the open page, and that the other origin received no request.
    pub(crate) async fn assert_nothing_ran(&self, what: &str) {
        let ran = self.browser.ask("return window.ran;").await;
        assert_eq!(ran, Value::Null, "{what}");
        let asked = self.elsewhere.asked("/trap");
        assert!(asked.is_empty(), "{what}: {asked:?}");
    }
}
