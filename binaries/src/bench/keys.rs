//! Which key a request is about.

use std::fmt;
use std::str::FromStr;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution as _, Zipf};

/// How often each key is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Distribution {
    Uniform,
    /// The key of rank `r` as often as `1 / r^theta`; number 0 is the first.
    Zipf(f64),
    /// One after the other, and again from the start; over all clients together.
    Sequential,
    /// This share of the requests is about this share of the keys, the first ones; the others about all others.
    Hotspot {
        requests: f64,
        keys: f64,
    },
}

/// As YCSB has it: hot, and not absurdly so.
const THETA: f64 = 0.99;

impl FromStr for Distribution {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut words = text.split(':');
        let name = words.next().unwrap_or_default();
        let numbers: Result<Vec<f64>, _> = words.map(f64::from_str).collect();
        let share = |number: f64| number > 0.0 && number < 1.0;
        match (name, numbers.as_deref()) {
            ("uniform", Ok([])) => Ok(Distribution::Uniform),
            ("sequential", Ok([])) => Ok(Distribution::Sequential),
            ("zipf", Ok([])) => Ok(Distribution::Zipf(THETA)),
            ("zipf", Ok([theta])) if *theta > 0.0 && theta.is_finite() => Ok(Distribution::Zipf(*theta)),
            ("hotspot", Ok([])) => Ok(Distribution::Hotspot { requests: 0.8, keys: 0.2 }),
            ("hotspot", Ok([requests, keys])) if share(*requests) && share(*keys) => {
                Ok(Distribution::Hotspot { requests: *requests, keys: *keys })
            }
            _ => Err(format!(
                "\"{text}\" is not uniform, sequential, zipf[:THETA] or hotspot[:REQUESTS:KEYS], \
                 such as zipf:0.99 or hotspot:0.8:0.2"
            )),
        }
    }
}

impl fmt::Display for Distribution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Distribution::Uniform => f.write_str("uniform"),
            Distribution::Sequential => f.write_str("sequential"),
            Distribution::Zipf(theta) => write!(f, "zipf:{theta}"),
            Distribution::Hotspot { requests, keys } => write!(f, "hotspot:{requests}:{keys}"),
        }
    }
}

/// Draws keys, and whatever else is random, for one client.
#[derive(Debug)]
pub struct Draw {
    random: SmallRng,
    keys: u64,
    how: How,
}

#[derive(Debug)]
enum How {
    Uniform,
    Zipf(Zipf<f64>),
    Sequential { next: u64, step: u64 },
    Hotspot { requests: f64, hot: u64 },
}

impl Draw {
    /// For the client of this number among so many. The same seed draws the same.
    pub fn new(distribution: Distribution, keys: u64, seed: u64, number: u64, clients: u64) -> Draw {
        let how = match distribution {
            Distribution::Uniform => How::Uniform,
            // The options have looked at both.
            Distribution::Zipf(theta) => Zipf::new(keys as f64, theta).map_or(How::Uniform, How::Zipf),
            Distribution::Sequential => How::Sequential { next: number, step: clients },
            Distribution::Hotspot { requests, keys: share } => {
                How::Hotspot { requests, hot: ((keys as f64 * share) as u64).clamp(1, keys) }
            }
        };
        let seed = seed.wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        Draw { random: SmallRng::seed_from_u64(seed), keys, how }
    }

    /// A key's number, below the number of keys.
    pub fn key(&mut self) -> u64 {
        match &mut self.how {
            How::Uniform => self.random.random_range(0..self.keys),
            // Ranks begin at 1.
            How::Zipf(zipf) => (zipf.sample(&mut self.random) as u64).clamp(1, self.keys) - 1,
            How::Sequential { next, step } => {
                let key = *next % self.keys;
                *next += *step;
                key
            }
            How::Hotspot { requests, hot } => match self.random.random_bool(*requests) || *hot == self.keys {
                true => self.random.random_range(0..*hot),
                false => self.random.random_range(*hot..self.keys),
            },
        }
    }

    /// Any number of a range, its end included.
    pub fn within(&mut self, least: usize, most: usize) -> usize {
        self.random.random_range(least..=most)
    }

    /// Any number below this one.
    pub fn below(&mut self, end: u32) -> u32 {
        self.random.random_range(0..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRAWS: usize = 200_000;

    /// How often each of so many keys is drawn.
    fn counts(distribution: &str, keys: u64) -> Vec<f64> {
        let distribution = distribution.parse().expect("a distribution");
        let mut draw = Draw::new(distribution, keys, 1, 0, 1);
        let mut counts = vec![0.0; keys as usize];
        (0..DRAWS).for_each(|_| counts[draw.key() as usize] += 1.0 / DRAWS as f64);
        counts
    }

    #[test]
    fn uniform_keys_are_drawn_alike() {
        let counts = counts("uniform", 10);
        assert!(counts.iter().all(|share| (share - 0.1).abs() < 0.005), "{counts:?}");
    }

    #[test]
    fn zipf_draws_each_rank_as_often_as_its_law_says() {
        for theta in [0.5, 0.99, 1.2] {
            let counts = counts(&format!("zipf:{theta}"), 1000);
            let weight = |rank: usize| (rank as f64).powf(-theta);
            let all: f64 = (1..=1000).map(weight).sum();
            for rank in [1, 2, 3, 10] {
                let wanted = weight(rank) / all;
                let got = counts[rank - 1];
                assert!((got / wanted - 1.0).abs() < 0.1, "theta {theta}, rank {rank}: {got} instead of {wanted}");
            }
            let tail: f64 = counts[500..].iter().sum();
            let wanted: f64 = (501..=1000).map(weight).sum::<f64>() / all;
            assert!((tail / wanted - 1.0).abs() < 0.05, "theta {theta}: {tail} instead of {wanted}");
        }
    }

    #[test]
    fn a_hotspot_gets_its_share() {
        let counts = counts("hotspot:0.9:0.1", 100);
        let hot: f64 = counts[..10].iter().sum();
        assert!((hot - 0.9).abs() < 0.01, "{hot}");
        assert!(counts[10..].iter().all(|share| *share > 0.0), "{counts:?}");
    }

    #[test]
    fn clients_share_a_sequence() {
        let mut clients: Vec<_> = (0..3).map(|number| Draw::new(Distribution::Sequential, 7, 1, number, 3)).collect();
        let drawn: Vec<u64> = (0..9).map(|turn| clients[turn % 3].key()).collect();
        assert_eq!(drawn, [0, 1, 2, 3, 4, 5, 6, 0, 1]);
    }

    #[test]
    fn clients_draw_differently_and_each_run_the_same() {
        let drawn = |seed, number| {
            let mut draw = Draw::new(Distribution::Uniform, 1 << 40, seed, number, 2);
            [draw.key(), draw.key()]
        };
        assert_eq!(drawn(1, 0), drawn(1, 0));
        assert_ne!(drawn(1, 0), drawn(1, 1));
        assert_ne!(drawn(1, 0), drawn(2, 0));
    }

    #[test]
    fn a_distribution_is_read_as_it_is_shown() {
        for text in ["uniform", "sequential", "zipf:0.7", "hotspot:0.9:0.1"] {
            assert_eq!(text.parse::<Distribution>().expect("one").to_string(), text);
        }
        for text in ["", "zipf:0", "zipf:-1", "zipf:x", "zipf:1:2", "hotspot:1", "hotspot:1:0.5", "uniform:1", "gauss"]
        {
            assert!(text.parse::<Distribution>().is_err(), "{text}");
        }
    }
}
