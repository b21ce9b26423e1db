//! What goes on, on a screen, with keys.

use std::time::Duration;

use super::end::End;
use super::load::Figures;
use super::nodes::State;
use super::script::Action;
use super::stage::{Node, Stage};
use super::tally::Tally;
use super::{COUNT, NAMES};
use crate::cli::stop::Stop;
use crate::cli::terminal::{Key, Line, Look, Terminal};

/// How often it is painted, and keys are looked for.
const FRAME: Duration = Duration::from_millis(100);
const KEYS: &str = "1 2 3 select   k kill  p pause  c cut off  h heal   v verify   ? help  q quit";
const HELP: &str = "
 1 2 3  select the node that the next key is about
 k      kill it, as kill -9 does
 p      pause it, as a machine that hangs; again: let it go on
 c      cut it off from the other nodes; its clients still reach it
 h      heal it: start it with its data, let it go on, or join it to the others
 v      read every counter, and compare it with what was acknowledged
 q      read them once more, and end

 To connect from another terminal:
";

/// Shows everything until it is over; keys break and heal the nodes.
///
/// # Errors
/// If a node cannot be started again, or the terminal is gone.
pub fn show(stage: &mut Stage, end: &End) -> Result<(), Stop> {
    let terminal = Terminal::take()?;
    let (mut selected, mut is_help) = (0, false);
    while !stage.is_over() && !end.is_asked() {
        stage.turn()?;
        let (width, height) = terminal.size()?;
        let lines = match is_help {
            true => help(stage),
            false => View::of(stage, selected).lines(width, height),
        };
        terminal.draw(&fitted(lines, width, height))?;
        let Some(Key::Char(key)) = terminal.key(FRAME)? else { continue };
        let action = match key {
            '1'..='3' => {
                selected = key as usize - '1' as usize;
                None
            }
            'k' => Some(Action::Kill),
            'p' if stage.node(selected).state == State::Paused => Some(Action::Heal),
            'p' => Some(Action::Pause),
            'c' => Some(Action::CutOff),
            'h' => Some(Action::Heal),
            'v' => Some(Action::Verify),
            'q' => return Ok(()),
            _ => None,
        };
        // Any key ends the help.
        is_help = key == '?' && !is_help;
        if let Some(action) = action {
            stage.act(action, selected)?;
        }
    }
    Ok(())
}

fn help(stage: &Stage) -> Vec<Line> {
    let commands = stage.commands();
    let lines = HELP.lines().chain([""]).chain(commands.iter().map(String::as_str)).chain(["", " Any key goes back"]);
    lines.map(|text| line(Look::Plain, text)).collect()
}

fn line(look: Look, text: impl Into<String>) -> Line {
    Line { look, text: text.into() }
}

/// Lines broken where the screen ends, and no more than it has.
fn fitted(lines: Vec<Line>, width: usize, height: usize) -> Vec<Line> {
    let broken = lines.into_iter().flat_map(|Line { text, look }| {
        let signs: Vec<char> = text.chars().collect();
        // An empty line is one, too.
        let rows = signs.chunks(width.max(1)).chain(signs.is_empty().then_some(&[][..]));
        rows.map(|row| line(look, row.iter().collect::<String>())).collect::<Vec<_>>()
    });
    broken.take(height).collect()
}

/// What the screen shows.
#[derive(Debug)]
struct View<'a> {
    age: Duration,
    epoch: i64,
    nodes: [Node; COUNT],
    selected: usize,
    seconds: &'a [Figures],
    tally: Tally,
    events: &'a [(Duration, String)],
    commands: [String; 3],
}

impl<'a> View<'a> {
    fn of(stage: &'a Stage, selected: usize) -> View<'a> {
        View {
            age: stage.age(),
            epoch: stage.epoch(),
            nodes: std::array::from_fn(|node| stage.node(node)),
            selected,
            seconds: &stage.seconds,
            tally: stage.tally(),
            events: &stage.events,
            commands: stage.commands(),
        }
    }

    /// The last events have whatever rows are left.
    fn lines(&self, width: usize, height: usize) -> Vec<Line> {
        let mut lines = vec![
            line(
                Look::Strong,
                format!(" Mneme: three nodes on this machine{:>24} s   epoch {}", self.age.as_secs(), self.epoch),
            ),
            line(Look::Plain, ""),
            line(
                Look::Strong,
                format!(
                    "   {:<5}{:<18}{:<26}{:<9}{:<10}{:>8}",
                    "NODE", "CLIENTS", "CONSOLE", "STATE", "ROLE", "APPLIED"
                ),
            ),
        ];
        lines.extend((0..COUNT).map(|node| self.node(node)));
        lines.push(line(Look::Plain, ""));
        lines.extend(self.figures(width));
        lines.push(line(Look::Plain, ""));
        let look = if self.tally.is_kept() { Look::Good } else { Look::Bad };
        lines.push(line(look, format!(" increments: {}", self.tally.text())));
        lines.push(line(Look::Plain, ""));
        let mut below = vec![line(Look::Plain, "")];
        below.extend(self.commands.iter().map(|command| line(Look::Plain, command)));
        below.push(line(Look::Strong, KEYS));
        let below = fitted(below, width, height);
        let room = height.saturating_sub(lines.len() + below.len());
        lines.extend(self.last_events(room, width));
        lines.extend(below);
        lines
    }

    fn node(&self, number: usize) -> Line {
        let node = &self.nodes[number];
        let mark = if number == self.selected { '>' } else { ' ' };
        let role = node.role.as_deref().unwrap_or("-");
        let look = match node.state {
            State::Killed | State::Ended => Look::Bad,
            State::Paused | State::CutOff => Look::Odd,
            State::Up if role == "primary" => Look::Good,
            State::Up => Look::Plain,
        };
        let applied = node.applied.map_or("-".to_owned(), |applied| applied.to_string());
        let (name, state) = (NAMES[number], node.state.text());
        line(look, format!(" {mark} {name:<5}{:<18}{:<26}{state:<9}{role:<10}{applied:>8}", node.clients, node.console))
    }

    fn figures(&self, width: usize) -> [Line; 4] {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        let last = self.seconds.last().copied().unwrap_or_default();
        let longest = self.seconds.iter().map(|second| second.gap).max().unwrap_or_default();
        let columns = width.saturating_sub(34);
        let row = |name: &str, now: String, of: &dyn Fn(&Figures) -> f64| {
            let values: Vec<f64> = self.seconds.iter().map(of).collect();
            line(
                Look::Plain,
                format!(" {name:<20}{now:>10}  {}", bars(&values[values.len().saturating_sub(columns)..])),
            )
        };
        [
            row("operations a second", last.operations.to_string(), &|second| second.operations as f64),
            row("p99", format!("{:.1} ms", ms(last.p99)), &|second| ms(second.p99)),
            row("errors", last.errors.to_string(), &|second| second.errors as f64),
            row("longest gap", format!("{:.0} ms", ms(longest)), &|second| ms(second.gap)),
        ]
    }

    fn last_events(&self, rows: usize, width: usize) -> Vec<Line> {
        let first = self.events.len().saturating_sub(rows);
        let mut lines: Vec<Line> = self.events[first..]
            .iter()
            .map(|(at, what)| format!(" {:>7.2} s  {what}", at.as_secs_f64()))
            .map(|text| line(Look::Plain, text.chars().take(width).collect::<String>()))
            .collect();
        lines.resize(rows, line(Look::Plain, ""));
        lines
    }
}

/// A sign for each value, as high as it is beside the highest.
fn bars(values: &[f64]) -> String {
    const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let highest = values.iter().copied().fold(0.0, f64::max);
    let sign = |value: &f64| match *value > 0.0 {
        true => HEIGHTS[((value / highest * 8.0).ceil() as usize).clamp(1, 8) - 1],
        false => '·',
    };
    values.iter().map(sign).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(number: usize, state: State, role: Option<&str>) -> Node {
        Node {
            clients: format!("127.0.0.1:3100{number}"),
            console: format!("http://127.0.0.1:3102{number}/"),
            state,
            role: role.map(str::to_owned),
            applied: role.map(|_| 123_456),
        }
    }

    #[test]
    fn everything_is_seen_on_a_small_screen() {
        let second = |operations, gap| Figures { operations, gap: Duration::from_millis(gap), ..Figures::default() };
        let seconds: Vec<_> = (0..100).map(|n| second(n * 7, n)).collect();
        let events: Vec<_> =
            (0..50).map(|n| (Duration::from_secs(n), format!("{} happened", "much ".repeat(30)))).collect();
        let mut tally = Tally::default();
        (1..=12_345).for_each(|value| tally.acknowledge(value));
        let view = View {
            age: Duration::from_secs(100),
            epoch: 7,
            nodes: [
                node(1, State::Killed, None),
                node(2, State::Up, Some("primary")),
                node(3, State::CutOff, Some("standby")),
            ],
            selected: 2,
            seconds: &seconds,
            tally,
            events: &events,
            commands: [60, 75, 140].map(|length| "x".repeat(length)),
        };
        let lines = fitted(view.lines(80, 24), 80, 24);
        assert_eq!(lines.len(), 24);
        assert!(lines.iter().all(|line| line.text.chars().count() <= 80), "{lines:#?}");
        let has = |look, part: &str| lines.iter().any(|line| line.look == look && line.text.contains(part));
        assert!(has(Look::Bad, "n1") && has(Look::Good, "n2") && has(Look::Odd, " > n3"), "{lines:#?}");
        assert!(has(Look::Good, "12,345 acknowledged, 0 lost") && has(Look::Plain, " 49.00 s"), "{lines:#?}");
        assert_eq!(lines[23], line(Look::Strong, KEYS));
        // With less room it shows what there is room for.
        assert_eq!(fitted(view.lines(20, 5), 20, 5).len(), 5);
    }

    #[test]
    fn the_highest_bar_is_the_highest_value() {
        assert_eq!(bars(&[0.0, 1.0, 4.0, 8.0]), "·▁▄█");
        assert_eq!(bars(&[0.0]), "·");
        assert_eq!(bars(&[]), "");
    }
}
