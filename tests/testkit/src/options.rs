//! The command line of `testkit`.

use testkit::Builder;

/// What is printed when the command line is wrong.
pub(crate) const USAGE: &str = "\
usage: testkit run [OPTIONS] [--] COMMAND [ARGUMENTS...]
       testkit serve [OPTIONS]

run    starts servers, runs the command with REDLOCK_TEST_URLS and REDLOCK_TEST_PIDS set (both comma separated), stops the
       servers and exits with the command's exit code
serve  starts servers, prints their URLs, one a line, and stops them when standard input ends

  -n N              how many servers (5)
  --password WORD   the default user's password
  --persistent      write every command to disk (appendfsync always)
  --config LINE     a line of redis.conf; may be given several times

REDLOCK_TEST_SERVER names another redis-server than the one in PATH.";

/// What to do once the servers run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Run(Vec<String>),
    Serve,
}

/// The command line, understood.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Options {
    pub(crate) action: Action,
    pub(crate) count: usize,
    password: Option<String>,
    persistent: bool,
    config: Vec<String>,
}

impl Options {
    /// Reads the arguments after the program's name.
    pub(crate) fn parse(arguments: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut arguments = arguments.peekable();
        let verb = arguments.next().ok_or("run or serve?")?;
        let mut options = Options {
            action: Action::Serve,
            count: 5,
            password: None,
            persistent: false,
            config: Vec::new(),
        };
        while let Some(argument) = arguments.next_if(|argument| argument.starts_with('-')) {
            if argument == "--" {
                break;
            }
            options.take(&argument, &mut arguments)?;
        }
        let rest: Vec<String> = arguments.collect();
        options.action = match verb.as_str() {
            "run" if rest.is_empty() => return Err("run what?".to_owned()),
            "run" => Action::Run(rest),
            "serve" if rest.is_empty() => Action::Serve,
            "serve" => return Err(format!("serve takes no {:?}", rest[0])),
            other => return Err(format!("unknown command {other:?}")),
        };
        Ok(options)
    }

    fn take(
        &mut self,
        argument: &str,
        rest: &mut impl Iterator<Item = String>,
    ) -> Result<(), String> {
        let mut value = || rest.next().ok_or(format!("{argument} needs a value"));
        match argument {
            "-n" => {
                let text = value()?;
                self.count = text
                    .parse()
                    .map_err(|_| format!("-n needs a number, not {text:?}"))?;
            }
            "--password" => self.password = Some(value()?),
            "--persistent" => self.persistent = true,
            "--config" => self.config.push(value()?),
            other => return Err(format!("unknown option {other:?}")),
        }
        Ok(())
    }

    /// Sets a server up as the options say.
    pub(crate) fn configure(&self, builder: Builder) -> Builder {
        let builder = if self.persistent {
            builder.persistent()
        } else {
            builder
        };
        let builder = match &self.password {
            Some(password) => builder.password(password),
            None => builder,
        };
        self.config
            .iter()
            .fold(builder, |builder, line| builder.config(line))
    }
}
