//! All that is asked, and how often each.

use super::answer::Answer;
use super::keys::Draw;
use super::mix::Mix;
use super::presets::{self, Expected};
use super::request::{Request, Sizes};
use crate::cli::quote;
use crate::suggest::did_you_mean;

/// The mix, ready to be sent.
#[derive(Debug)]
pub struct Work {
    mix: Mix,
    commands: Vec<Command>,
    total: u32,
    /// Whether an answer that says nothing, or is not as long as a value, is wrong.
    strict: bool,
}

#[derive(Debug)]
struct Command {
    request: Request,
    expected: Option<Expected>,
}

/// A command of one's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Own {
    pub name: String,
    pub words: Vec<String>,
}

impl Own {
    /// Reads `NAME=COMMAND [ARG...]`, quoted as in redis-cli.
    ///
    /// # Errors
    /// If that is malformed.
    pub fn parse(text: &str) -> Result<Own, String> {
        let bad = || format!("\"{text}\" is not NAME=COMMAND [ARG...], such as 'visit=ZINCRBY board 1 {{member}}'");
        let (name, line) = text.split_once('=').ok_or_else(bad)?;
        let words = words(line)?;
        match name.is_empty() || name.contains([',', ' ']) || words.is_empty() {
            true => Err(bad()),
            false => Ok(Own { name: name.to_owned(), words }),
        }
    }
}

/// A line's words, quoted as in redis-cli.
///
/// # Errors
/// If quotes are unbalanced, or it is not UTF-8.
pub fn words(line: &str) -> Result<Vec<String>, String> {
    let words = quote::split(line.as_bytes()).map_err(|_| format!("unbalanced quotes: {line}"))?;
    let text = |word| String::from_utf8(word).map_err(|_| format!("not UTF-8: {line}"));
    words.into_iter().map(text).collect()
}

impl Work {
    /// The mix of presets and commands of one's own.
    ///
    /// # Errors
    /// If a name is not known, or a command cannot be written.
    pub fn new(mix: Mix, own: &[Own], sizes: Sizes, strict: bool) -> Result<Work, String> {
        let mut commands = Vec::new();
        for part in &mix.parts {
            let name = part.name.as_str();
            commands.push(match own.iter().find(|own| own.name == name) {
                Some(own) => Command { request: Request::new(&own.words, sizes)?, expected: None },
                None => {
                    let words = presets::words(name).ok_or_else(|| unknown(name, own))?;
                    let expected = presets::expected(name, sizes);
                    Command { request: Request::new(words, sizes)?, expected }
                }
            });
        }
        Ok(Work { total: mix.total(), mix, commands, strict })
    }

    /// The commands' names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.mix.parts.iter().map(|part| part.name.as_str())
    }

    /// How many commands there are.
    pub fn len(&self) -> usize {
        self.commands.len()
    }

    /// Appends a request; which command it is.
    pub fn write(&self, draw: &mut Draw, out: &mut Vec<u8>) -> usize {
        let command = self.choose(draw);
        self.commands[command].request.write(draw, out);
        command
    }

    /// A command, by the weights.
    pub fn choose(&self, draw: &mut Draw) -> usize {
        match self.commands.len() {
            1 => 0,
            _ => self.mix.at(draw.below(self.total)),
        }
    }

    /// Whether an answer is of the kind that the command has.
    pub fn is_right(&self, command: usize, answer: Answer<'_>) -> bool {
        let Some(expected) = self.commands[command].expected else { return true };
        match answer.is_null() {
            true => !self.strict,
            false => {
                let length = expected.length.filter(|_| self.strict);
                answer.kind == expected.kind && length.is_none_or(|length| answer.length == length)
            }
        }
    }
}

fn unknown(name: &str, own: &[Own]) -> String {
    let mut known: Vec<&str> = presets::names().collect();
    known.extend(own.iter().map(|own| own.name.as_str()));
    let hint = did_you_mean(name, known.iter().copied(), "");
    format!("no command is named \"{name}\"{hint}\nThere are: {}; or give it by --command", known.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::keys::Distribution;
    use super::*;

    const SIZES: Sizes = Sizes { least: 4, most: 4 };

    fn work(mix: &str, own: &[&str], strict: bool) -> Result<Work, String> {
        let own: Vec<Own> = own.iter().map(|own| Own::parse(own).expect("a command")).collect();
        Work::new(Mix::parse(mix).expect("a mix"), &own, SIZES, strict)
    }

    #[test]
    fn commands_come_as_often_as_they_weigh() {
        let work = work("get=80,visit=20", &["visit=ZINCRBY board 1 {member}"], false).expect("known commands");
        let mut draw = Draw::new(Distribution::Uniform, 10, 1, 0, 1);
        let mut out = Vec::new();
        let own = (0..10_000).filter(|_| work.write(&mut draw, &mut out) == 1).count();
        assert!((1800..2200).contains(&own), "{own}");
        let text = String::from_utf8(out).expect("text");
        assert_eq!(text.matches("ZINCRBY").count(), own);
    }

    #[test]
    fn an_unknown_command_is_refused_with_the_one_that_was_meant() {
        let error = work("gett=1", &[], false).expect_err("a typing error");
        assert!(error.contains("did you mean \"get\""), "{error}");
        for text in ["visit", "=GET", "visit=", "a,b=GET", "a='"] {
            assert!(Own::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_answer_must_be_of_the_right_kind_and_if_asked_a_value() {
        let answer = |kind, length| Answer { kind, length, line: b"" };
        for (strict, kind, length, right) in [
            (false, b'$', 4, true),
            (false, b'$', 5, true),
            (false, b'$', -1, true),
            (false, b':', 0, false),
            (true, b'$', 4, true),
            (true, b'$', 5, false),
            (true, b'$', -1, false),
        ] {
            let work = work("get", &[], strict).expect("known");
            assert_eq!(work.is_right(0, answer(kind, length)), right, "{strict} {kind} {length}");
        }
    }
}
