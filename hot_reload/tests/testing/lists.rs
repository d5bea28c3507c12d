//! The rules are told in three places, and each is in all of them.

use std::collections::BTreeSet;

const DOCS: &str = include_str!("../../src/testing.rs");
const EXPORTS: &str = include_str!("../../src/testing/rules.rs");
const TESTS: &str = include_str!("../../src/testing/conformance.rs");
const RULES: [&str; 8] = [
    include_str!("../../src/testing/rules/last_good.rs"),
    include_str!("../../src/testing/rules/leaks.rs"),
    include_str!("../../src/testing/rules/network.rs"),
    include_str!("../../src/testing/rules/order.rs"),
    include_str!("../../src/testing/rules/refusals.rs"),
    include_str!("../../src/testing/rules/secrets.rs"),
    include_str!("../../src/testing/rules/servers.rs"),
    include_str!("../../src/testing/rules/values.rs"),
];

/// The words that stand behind `before` in a line, up to what ends a name.
fn names<'a>(text: &'a str, before: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = text.lines().filter_map(move |line| line.trim_start().strip_prefix(before));
    lines.filter_map(|rest| {
        rest.split(|c: char| c != '_' && !c.is_ascii_lowercase() && !c.is_ascii_digit()).next()
    })
}

#[test]
fn every_rule_is_documented_exported_and_made_a_test_of() {
    let rules: BTreeSet<_> =
        RULES.into_iter().flat_map(|text| names(text, "pub async fn ")).collect();
    assert!(rules.len() > 28, "{rules:?}");

    let documented: Vec<_> = names(DOCS, "//! | [`").chain(names(DOCS, "//! | `")).collect();
    assert_eq!(documented.iter().copied().collect::<BTreeSet<_>>(), rules);
    assert_eq!(documented.len(), rules.len(), "{documented:?}");

    let words = |text: &'static str| -> BTreeSet<_> {
        text.split(|c: char| c != '_' && !c.is_ascii_alphanumeric()).collect()
    };
    for (place, there) in [("rules.rs", words(EXPORTS)), ("conformance.rs", words(TESTS))] {
        let forgotten: Vec<_> = rules.difference(&there).collect();
        assert!(forgotten.is_empty(), "{place} has no {forgotten:?}");
    }
}
