//! Commands that a page cannot run, because they change what the connection is for, or wait.

use mneme_driver::node::Node;
use mneme_kernel::commands::Access;

use crate::env::RealEnv;

/// Why a command is not run; `None` if it is.
pub(super) fn why(node: &Node<RealEnv>, words: &[Vec<u8>]) -> Option<String> {
    let words = behind_levels(words);
    let word = |i: usize| words.get(i).map(|word| word.to_ascii_lowercase()).unwrap_or_default();
    let first = word(0);
    let command = node.with_core(|core| core.commands().find(&first).map(|(_, command)| command))?;
    let what = match (command.name, &*word(1)) {
        ("auth" | "hello" | "reset" | "quit", _) => "it changes who you are: sign out and in again instead",
        ("monitor" | "sync" | "psync", _) => "it turns the connection into a stream",
        ("client", b"reply" | b"tracking") => "it changes what the connection answers",
        ("wait" | "waitaof", _) => "it waits: CONSISTENCY ALL before a write does the same",
        ("xread" | "xreadgroup", _) if !words.iter().any(|word| word.eq_ignore_ascii_case(b"block")) => return None,
        _ if command.flags.contains(&"blocking") => "it waits",
        _ if command.access == Access::Subscribe => "it turns the connection into a stream",
        _ => return None,
    };
    let name = command.name.to_uppercase();
    Some(format!("ERR {name} is not for the console: {what}. A client of its own, such as mneme-cli, can run it."))
}

/// What counts: the command behind the level, of which there may be as many as a request has room for.
fn behind_levels(mut words: &[Vec<u8>]) -> &[Vec<u8>] {
    while words.len() > 2 && words[0].eq_ignore_ascii_case(b"consistency") {
        words = &words[2..];
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_found_behind_any_number_of_levels() {
        let level = [b"Consistency".to_vec(), b"ALL".to_vec()];
        let many: Vec<Vec<u8>> = level.iter().cycle().take(200_000).cloned().chain([b"GET".to_vec()]).collect();
        assert_eq!(behind_levels(&many), [b"GET".to_vec()]);
        assert_eq!(behind_levels(&level), level);
    }
}
