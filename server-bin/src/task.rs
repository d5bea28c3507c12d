//! What is done and over, beside serving.

use std::process::ExitCode;

use crate::{
    Failure, ask, check,
    cli::{Cli, Command},
    print::{self, print},
    schema,
};

/// Does what the command line asks for, which is not to serve.
pub(crate) async fn carry_out(cli: &Cli) -> Result<ExitCode, Failure> {
    match &cli.command {
        Some(Command::Status { place, json }) => return ask::status(place, *json).await,
        Some(Command::Reload { place }) => return ask::order(place, "/reload").await,
        Some(Command::Rollback { place, generation }) => {
            return ask::order(place, &format!("/rollback/{generation}")).await;
        }
        Some(Command::Resume { place }) => return ask::order(place, "/resume").await,
        Some(Command::Completions { shell }) => print(print::completions(*shell))?,
        Some(Command::Man) => print(print::manual()?)?,
        None if cli.print_schema => print(schema::text())?,
        None => check::check(cli.config()).await?,
    }
    Ok(ExitCode::SUCCESS)
}
