//! Names with weights, as they are given: `get=80,set=20`.

/// What is chosen how often.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mix {
    pub parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub name: String,
    pub weight: u32,
}

/// No sum of them overflows.
const MAX_WEIGHT: u32 = 1_000_000;
const MAX_PARTS: usize = 100;

impl Mix {
    /// Reads `NAME[=WEIGHT],...`; without weights all are alike.
    ///
    /// # Errors
    /// If that is malformed, a name is there twice, or all weights are 0.
    pub fn parse(text: &str) -> Result<Mix, String> {
        let mut parts: Vec<Part> = Vec::new();
        for word in text.split(',') {
            let (name, weight) = word.split_once('=').unwrap_or((word, "1"));
            let weight = weight.parse().ok().filter(|weight| *weight <= MAX_WEIGHT);
            let weight = weight.ok_or_else(|| {
                format!("\"{word}\" is not NAME=WEIGHT, a whole number up to {MAX_WEIGHT}, such as get=80")
            })?;
            if name.is_empty() {
                return Err(format!("\"{text}\" is not NAME=WEIGHT,..., such as get=80,set=20"));
            }
            if parts.iter().any(|part| part.name == name) {
                return Err(format!("\"{name}\" is there twice"));
            }
            parts.push(Part { name: name.to_owned(), weight });
        }
        parts.retain(|part| part.weight > 0);
        match parts.len() {
            0 => Err(format!("\"{text}\": all weights are 0")),
            1..=MAX_PARTS => Ok(Mix { parts }),
            _ => Err(format!("more than {MAX_PARTS} names")),
        }
    }

    /// All alike.
    pub fn of(names: impl IntoIterator<Item = String>) -> Mix {
        Mix { parts: names.into_iter().map(|name| Part { name, weight: 1 }).collect() }
    }

    pub fn total(&self) -> u32 {
        self.parts.iter().map(|part| part.weight).sum()
    }

    /// Which part a number below the total means.
    pub fn at(&self, mut number: u32) -> usize {
        for (at, part) in self.parts.iter().enumerate() {
            if number < part.weight {
                return at;
            }
            number -= part.weight;
        }
        0
    }

    /// Which part each of so many things gets, by their shares.
    ///
    /// # Errors
    /// If there are too few things for every part to get one.
    pub fn shared_by(&self, things: usize) -> Result<Vec<usize>, String> {
        let total = u64::from(self.total());
        // The middle of each thing's share.
        let part = |thing: usize| self.at(((2 * thing as u64 + 1) * total / (2 * things as u64)) as u32);
        let shares: Vec<usize> = (0..things).map(part).collect();
        match (0..self.parts.len()).find(|part| !shares.contains(part)) {
            None => Ok(shares),
            Some(missing) => Err(format!("{things} are too few: none is left for {}", self.parts[missing].name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<(String, u32)> {
        let mix = Mix::parse(text).expect("a mix");
        mix.parts.into_iter().map(|part| (part.name, part.weight)).collect()
    }

    #[test]
    fn a_mix_is_read() {
        assert_eq!(parsed("get=80,set=20"), [("get".to_owned(), 80), ("set".to_owned(), 20)]);
        assert_eq!(parsed("get,set"), [("get".to_owned(), 1), ("set".to_owned(), 1)]);
        assert_eq!(parsed("get=1,set=0"), [("get".to_owned(), 1)]);
        for text in
            ["", "get=", "=5", "get=x", "get=-1", "get=1,get=2", "get=0", "get=1,,set=2", "get=1.5", "get=1000001"]
        {
            assert!(Mix::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn each_part_is_chosen_by_its_weight() {
        let mix = Mix::parse("a=3,b=1,c=2").expect("a mix");
        let chosen: Vec<usize> = (0..mix.total()).map(|number| mix.at(number)).collect();
        assert_eq!(chosen, [0, 0, 0, 1, 2, 2]);
    }

    #[test]
    fn connections_are_shared_by_weight() {
        let mix = Mix::parse("EVENTUAL=90,QUORUM=10").expect("a mix");
        let count = |things: usize| mix.shared_by(things).map(|all| all.iter().filter(|part| **part == 1).count());
        assert_eq!(count(50), Ok(5));
        assert_eq!(count(10), Ok(1));
        assert!(count(2).is_err_and(|error| error.contains("QUORUM")));
    }
}
