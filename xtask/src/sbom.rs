//! `cargo xtask sbom`: lists the parts of each program, as `CycloneDX` in JSON.
//!
//! One document for each program, with the crates that Cargo compiles for it on Linux with the
//! program's own features. Linked crates are `required`; those that run only during the build
//! (procedural macros, build scripts and their dependencies) are `excluded`. The same sources give
//! the same bytes; a document has a date only if `SOURCE_DATE_EPOCH` is set.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use cargo_lock::Lockfile;
use cargo_metadata::{Metadata as Workspace, Package};
use chrono::{DateTime, SecondsFormat};
use cyclonedx_bom::models::bom::{Bom, SpecVersion};
use cyclonedx_bom::models::component::{Classification, Component, Components, Scope};
use cyclonedx_bom::models::dependency::{Dependencies, Dependency};
use cyclonedx_bom::models::hash::{Hash, HashAlgorithm, HashValue, Hashes};
use cyclonedx_bom::models::license::{LicenseChoice, Licenses};
use cyclonedx_bom::models::metadata::Metadata;
use cyclonedx_bom::prelude::{Purl, SpdxExpression};
use testkit::process::cargo;

/// The packages, and the program that each one makes.
const PROGRAMS: [(&str, &str); 2] = [("poller", "ghibli-poller"), ("server", "ghibli-server")];

/// The target of the images. For other processors a crate or two differ.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Writes the documents into `target/sbom`.
pub(crate) fn sbom() -> Result<()> {
    let folder = crate::top().join("target/sbom");
    fs::create_dir_all(&folder)?;
    for (package, program) in PROGRAMS {
        let file = folder.join(format!("{program}.cdx.json"));
        fs::write(&file, document(package, program)?)?;
        crate::say(file.display());
    }
    Ok(())
}

/// Returns one program's document.
fn document(package: &str, program: &str) -> Result<Vec<u8>> {
    let built = tree(package, "normal,build")?;
    let linked = tree(package, "normal,no-proc-macro")?;
    let known = Known::load()?;
    let root = built
        .keys()
        .find(|one| one.name == package)
        .context("the program itself is missing")?;
    let components = built
        .keys()
        .filter(|one| *one != root)
        .map(|one| {
            let mut component = known.component(one, Classification::Library)?;
            let is_linked = linked.contains_key(one);
            component.scope = Some(if is_linked {
                Scope::Required
            } else {
                Scope::Excluded
            });
            Ok(component)
        })
        .collect::<Result<_>>()?;
    let mut itself = known.component(root, Classification::Application)?;
    itself.name = cyclonedx_bom::prelude::NormalizedString::new(program);
    let bom = Bom {
        version: 1,
        spec_version: SpecVersion::V1_5,
        serial_number: None,
        metadata: Some(Metadata {
            timestamp: date()?,
            component: Some(itself),
            ..Metadata::default()
        }),
        components: Some(Components(components)),
        dependencies: Some(dependencies(&built)),
        ..Bom::default()
    };
    let mut json = Vec::new();
    bom.output_as_json(&mut json, SpecVersion::V1_5)?;
    json.push(b'\n');
    Ok(json)
}

fn dependencies(built: &Tree) -> Dependencies {
    let named = |ones: &BTreeSet<Crate>| ones.iter().map(Crate::reference).collect();
    let all = built.iter().map(|(one, needs)| Dependency {
        dependency_ref: one.reference(),
        dependencies: named(needs),
    });
    Dependencies(all.collect())
}

/// The value of `SOURCE_DATE_EPOCH`, in seconds since 1970.
fn date() -> Result<Option<cyclonedx_bom::prelude::DateTime>> {
    let Some(text) = std::env::var_os("SOURCE_DATE_EPOCH") else {
        return Ok(None);
    };
    let seconds = text.to_str().and_then(|text| text.parse().ok());
    let date = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    let date = date.context("SOURCE_DATE_EPOCH is no number of seconds")?;
    let text = date.to_rfc3339_opts(SecondsFormat::Secs, true);
    Ok(Some(text.try_into()?))
}

/// A crate and its version.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Crate {
    name: String,
    version: String,
}

impl Crate {
    /// Its name within a document.
    fn reference(&self) -> String {
        format!("{}@{}", self.name, self.version)
    }
}

/// The dependencies of each crate.
type Tree = BTreeMap<Crate, BTreeSet<Crate>>;

/// Asks Cargo what it would compile for a package. `cargo metadata` cannot say: it unites the
/// features that all packages of the workspace ask for.
fn tree(package: &str, edges: &str) -> Result<Tree> {
    let output = cargo()
        .args(["tree", "--package", package, "--edges", edges])
        .args(["--target", TARGET, "--prefix", "depth", "--format", " {p}"])
        .output()?;
    let failure = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo tree: {failure}");
    read_tree(&String::from_utf8(output.stdout)?)
}

/// Reads lines such as `2 tokio v1.52.0 (*)`: the depth and the crate. Cargo lists a crate's
/// dependencies only once, where it first names the crate.
fn read_tree(text: &str) -> Result<Tree> {
    let mut tree = Tree::new();
    let mut path: Vec<Crate> = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let mut word = || words.next().with_context(|| format!("cargo tree: {line}"));
        let depth: usize = word()?.parse()?;
        let name = word()?.to_owned();
        let version = word()?.trim_start_matches('v').to_owned();
        let one = Crate { name, version };
        path.truncate(depth);
        if let Some(parent) = path.last() {
            tree.entry(parent.clone()).or_default().insert(one.clone());
        }
        tree.entry(one.clone()).or_default();
        path.push(one);
    }
    Ok(tree)
}

/// What the manifests and `Cargo.lock` say.
struct Known {
    workspace: Workspace,
    lock: Lockfile,
}

impl Known {
    fn load() -> Result<Self> {
        let mut ask = cargo_metadata::MetadataCommand::new();
        ask.cargo_path(cargo().get_program())
            .manifest_path(crate::top().join("Cargo.toml"))
            .other_options(["--locked".into(), "--filter-platform".into(), TARGET.into()]);
        let lock: PathBuf = crate::top().join("Cargo.lock");
        Ok(Self {
            workspace: ask.exec()?,
            lock: Lockfile::load(lock)?,
        })
    }

    fn package(&self, one: &Crate) -> Result<&Package> {
        let mut all = self.workspace.packages.iter();
        all.find(|package| {
            package.name.as_str() == one.name && package.version.to_string() == one.version
        })
        .with_context(|| format!("no package {}", one.reference()))
    }

    fn component(&self, one: &Crate, kind: Classification) -> Result<Component> {
        let reference = Some(one.reference());
        let mut component = Component::new(kind, &one.name, &one.version, reference);
        let package = self.package(one)?;
        if let Some(licence) = &package.license {
            let expression = SpdxExpression::parse_lax(licence.clone())
                .with_context(|| format!("the licence of {}", one.reference()))?;
            component.licenses = Some(Licenses(vec![LicenseChoice::Expression(expression)]));
        }
        // A crate without a source is our own, not one of the same name in the registry.
        if package.source.is_some() {
            component.purl = Some(Purl::new("cargo", &one.name, &one.version)?);
            component.hashes = Some(Hashes(vec![Hash {
                alg: HashAlgorithm::SHA_256,
                content: HashValue(self.checksum(one)?),
            }]));
        }
        Ok(component)
    }

    fn checksum(&self, one: &Crate) -> Result<String> {
        let mut all = self.lock.packages.iter();
        let locked = all.find(|package| {
            package.name.as_str() == one.name && package.version.to_string() == one.version
        });
        let checksum = locked.and_then(|package| package.checksum.as_ref());
        let checksum = checksum.with_context(|| format!("no checksum of {}", one.reference()))?;
        Ok(checksum.to_string())
    }
}

#[cfg(test)]
mod tests {
    use cyclonedx_bom::prelude::Validate;

    use super::*;

    fn bom_of(package: &str, program: &str) -> Bom {
        let json = document(package, program).unwrap();
        let bom = Bom::parse_from_json_v1_5(&json[..]).unwrap();
        let verdict = bom.validate_version(SpecVersion::V1_5);
        assert!(verdict.passed(), "{verdict:?}");
        bom
    }

    fn named(bom: &Bom, is_it: impl Fn(&Component) -> bool) -> BTreeSet<String> {
        let all = &bom.components.as_ref().unwrap().0;
        let wanted = all.iter().filter(|component| is_it(component));
        wanted
            .map(|component| component.bom_ref.clone().unwrap())
            .collect()
    }

    /// The same list from Cargo, asked in another way.
    fn linked_by_cargo(package: &str, edges: &str) -> BTreeSet<String> {
        let output = cargo()
            .args(["tree", "--package", package, "--edges", edges])
            .args(["--target", TARGET, "--prefix", "none", "--no-dedupe"])
            .output()
            .unwrap();
        let lines = String::from_utf8(output.stdout).unwrap();
        let crates = lines.lines().map(|line| {
            let (name, version) = line.split_once(" v").expect(line);
            format!("{name}@{}", version.split(' ').next().unwrap())
        });
        crates
            .filter(|one| *one != format!("{package}@{}", env!("CARGO_PKG_VERSION")))
            .collect()
    }

    #[test]
    fn each_program_is_made_of_what_cargo_links_into_it() {
        for (package, program) in PROGRAMS {
            let bom = bom_of(package, program);
            let linked = named(&bom, |it| it.scope == Some(Scope::Required));
            assert_eq!(linked, linked_by_cargo(package, "normal,no-proc-macro"));
            let normal = linked_by_cargo(package, "normal");
            assert!(named(&bom, |_| true).is_superset(&normal));
            assert_eq!(
                named(&bom, |_| true),
                linked_by_cargo(package, "normal,build")
            );

            let linked = |name: &str| {
                linked
                    .iter()
                    .any(|one| one.starts_with(&format!("{name}@")))
            };
            assert!(linked("tokio") && linked("shared"));
            assert!(!linked("serde_derive") && !linked("testkit") && !linked("proptest"));
            // The poller has an HTTP client, the server has none.
            for client in ["reqwest", "hyper-rustls", "h2"] {
                assert_eq!(linked(client), package == "poller", "{client} in {program}");
            }
        }
    }

    #[test]
    fn every_foreign_crate_can_be_found_and_checked() {
        for (package, program) in PROGRAMS {
            let bom = bom_of(package, program);
            let ours = named(&bom, |it| it.purl.is_none());
            assert_eq!(ours, BTreeSet::from(["shared@0.1.0".to_owned()]));
            let whole = named(&bom, |it| {
                it.licenses.is_some() && (it.hashes.is_some() || it.purl.is_none())
            });
            assert_eq!(whole, named(&bom, |_| true));

            let mentioned = bom.dependencies.as_ref().unwrap().0.iter();
            let mentioned: BTreeSet<_> = mentioned.map(|one| one.dependency_ref.clone()).collect();
            let mut all = named(&bom, |_| true);
            all.insert(format!("{package}@0.1.0"));
            assert_eq!(mentioned, all);
        }
    }

    #[test]
    fn the_same_sources_give_the_same_bytes() {
        let (package, program) = PROGRAMS[0];
        let document = || String::from_utf8(document(package, program).unwrap()).unwrap();
        let first = document();
        assert_eq!(first, document());
        for random in ["serialNumber", "timestamp", env!("CARGO_MANIFEST_DIR")] {
            assert!(!first.contains(random), "{random}");
        }
    }

    #[test]
    fn trees_are_read_with_what_is_listed_once() {
        let text = "0 a v1.0.0 (/a)\n1 b v2.0.0\n2 c v3.0.0 (proc-macro)\n1 c v3.0.0 (*)\n";
        let tree = read_tree(text).unwrap();
        let needs: Vec<Vec<_>> = tree
            .values()
            .map(|needs| needs.iter().map(Crate::reference).collect())
            .collect();
        assert_eq!(needs, [vec!["b@2.0.0", "c@3.0.0"], vec!["c@3.0.0"], vec![]]);
        assert!(read_tree("a v1").is_err());
    }
}
