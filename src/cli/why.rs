//! `spillcast why`: what an application dies of or loses its time to, and the smallest changes that help.

use super::args::WhyArgs;
use super::configure::{self, Stop};
use super::console::{Console, color_on_stdout, print, tell_error, width};
use super::input::{self, Application};
use super::run::assumptions;
use super::{Answer, Told};
use crate::experiment::place;
use crate::experiment::why::{Bench, Options, Why, explain};
use crate::report::table::Style;
use crate::report::why::{Context, json, text};

/// Runs the command.
pub(super) fn run(args: &WhyArgs, console: Console) -> anyhow::Result<Answer> {
    configure::check_pairs(&args.conf)?;
    let mut application = input::open(&args.input, console)?;
    super::run::draw(&mut application, args.seed);
    let conf = configure::conf(Some(&application), &args.conf, console)?;
    configure::tell(&conf, &args.conf, Some(&application), console);
    let settings = match configure::settings(&conf, Some(&application), console) {
        Ok(settings) => settings,
        Err(Stop::Faulty | Stop::Refused(_)) => return Err(Told.into()),
    };
    let without_effect = configure::without_effect(&conf, &settings);
    for words in &without_effect {
        console.warn(words);
    }
    let placed =
        place(&settings, &application.scenario.cluster, &application.scenario.workload).map_err(|words| {
            tell_error(&words);
            Told
        })?;
    let bench = Bench::new(&application.scenario, conf, application.scenario.seed);
    let mut why = explain(&bench, Options { until_clean: args.until_clean });
    let confidence = &mut why.trial.record.confidence;
    confidence.assumed.extend(without_effect);
    confidence.assumed.extend(assumptions(&application, &settings, &placed));
    if let Some(honesty) = &application.honesty {
        confidence.replay.clone_from(&honesty.replay);
    }
    answer(&why, args, &application)?;
    Ok(Answer::Done)
}

fn answer(why: &Why, args: &WhyArgs, application: &Application) -> anyhow::Result<()> {
    let hosts = &application.scenario.cluster.hosts;
    let known = application.honesty.is_none() && application.scenario.workload.observed.is_none();
    let context = Context {
        input: &application.input,
        observed: application.observed.as_ref(),
        changed: args.conf.changes_anything(),
        host_memory: hosts.first().filter(|_| known).map(|host| host.memory_bytes),
    };
    if args.json {
        let mut text = serde_json::to_vec_pretty(&json(why, &context))?;
        text.push(b'\n');
        return print(&text);
    }
    print(text(why, &context, Style { width: width(), color: color_on_stdout() }).as_bytes())
}
