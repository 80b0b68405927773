//! Tables that Spark and others wrote, with the rows they must give (test data of the delta-kernel-rs project).

use std::path::{Path, PathBuf};
use std::process::Command;

use arrow::compute::cast;
use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use lakegate_engine_api::EngineError;
use lakegate_engine_api::catalog::PgType;

use crate::support::{World, lines, parquet_rows, place};

#[tokio::test(flavor = "multi_thread")]
async fn golden_tables() {
    let Some(folder) = golden_folder() else {
        println!("skipped: no golden tables; LAKEGATE_SHARED_DATA names the folder that has them");
        return;
    };
    let world = World::new().await;
    let mut failures = Vec::new();
    let mut archives: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    archives.retain(|path| path.to_string_lossy().ends_with(".tar.zst"));
    archives.sort();
    assert!(!archives.is_empty());
    for archive in &archives {
        let status = Command::new("tar").arg("--zstd").arg("-xf").arg(archive).arg("-C").arg(world.dir.path()).status().unwrap();
        assert!(status.success());
        let name = archive.file_name().unwrap().to_string_lossy().trim_end_matches(".tar.zst").to_owned();
        if let Err(problem) = check(&world, &name).await {
            failures.push(format!("{name}: {problem}"));
        }
    }
    assert!(failures.is_empty(), "{} of {} tables:\n{}", failures.len(), archives.len(), failures.join("\n"));
    println!("{} tables", archives.len());
}

fn golden_folder() -> Option<PathBuf> {
    let given = std::env::var_os("LAKEGATE_SHARED_DATA").map(PathBuf::from);
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let beyond = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    given.into_iter().chain([beside, beyond]).map(|data| data.join("delta-golden")).find(|folder| folder.is_dir())
}

async fn check(world: &World, name: &str) -> Result<(), String> {
    let root = world.dir.path().join(name);
    let location = format!("file://{}/", root.join("delta").display());
    let registered = world.register(name, &location).await;
    let expected = root.join("expected");
    if !expected.is_dir() {
        return match registered {
            Err(EngineError::Internal { message }) => Err(format!("refused with an internal error: {message}")),
            Err(_) => Ok(()),
            Ok(()) => Err("was not refused".to_owned()),
        };
    }
    registered.map_err(|error| format!("{error:?}"))?;
    let sql = format!("SELECT * FROM main.public.\"{name}\"");
    let actual = world.query(&sql, &[name]).await.map_err(|error| format!("{error:?}"))?;
    let mut expected = expected_rows(&expected, actual.first().map(RecordBatch::schema))?;
    let mut found = lines(&actual);
    expected.sort();
    found.sort();
    compare(&expected, &found)?;
    pruned(world, name, &sql, &found).await?;
    let count = world.lines(&format!("SELECT count(*) FROM main.public.\"{name}\""), &[name]).await;
    if count != [found.len().to_string()] {
        return Err(format!("count(*) is {count:?}, not {}", found.len()));
    }
    Ok(())
}

fn expected_rows(folder: &Path, schema: Option<SchemaRef>) -> Result<Vec<String>, String> {
    if !folder.is_dir() {
        return Ok(Vec::new());
    }
    let batches = parquet_rows(folder);
    let Some(schema) = schema else { return Ok(lines(&batches)) };
    let mut rows = Vec::new();
    for batch in batches {
        let mut columns = Vec::new();
        for field in schema.fields() {
            let column = batch.column_by_name(field.name()).ok_or_else(|| format!("column {} was not expected", field.name()))?;
            columns.push(cast(column, field.data_type()).unwrap_or_else(|_| column.clone()));
        }
        if batch.num_columns() != columns.len() {
            return Err(format!("{} columns were expected, not {}", batch.num_columns(), columns.len()));
        }
        let names = schema.fields().iter().map(|field| field.name().clone());
        rows.extend(lines(&[
            RecordBatch::try_from_iter_with_nullable(names.zip(columns).map(|(name, column)| (name, column, true))).unwrap()
        ]));
    }
    Ok(rows)
}

fn compare(expected: &[String], found: &[String]) -> Result<(), String> {
    if expected == found {
        return Ok(());
    }
    let first = expected.iter().zip(found).find(|(expected, found)| expected != found);
    Err(format!("{} rows expected, {} found; first difference: {first:?}", expected.len(), found.len()))
}

/// Filters on each column, by a value of it: what pruning leaves must be what the filter alone leaves.
async fn pruned(world: &World, name: &str, sql: &str, all: &[String]) -> Result<(), String> {
    let Some(sample) = all.get(all.len() / 2) else { return Ok(()) };
    let described = world.engine.describe_table(&place(&format!("file://{}/delta/", world.dir.path().join(name).display()))).await;
    let columns = described.map_err(|error| format!("{error:?}"))?.columns;
    for (at, column) in columns.iter().enumerate() {
        let simple = [16, 20, 21, 23, 25, 1082, 1114, 1184, 1700].contains(&column.data_type.oid);
        let Some(value) = sample.split('|').nth(at).filter(|_| simple) else { continue };
        let column_name = &column.name;
        let literal = format!("'{}'", value.replace('\'', "''"));
        let conditions = match value {
            "NULL" => vec![format!("\"{column_name}\" IS NULL"), format!("\"{column_name}\" IS NOT NULL")],
            _ => vec![
                format!("\"{column_name}\" = cast({literal} as {})", type_name(column.data_type)),
                format!("\"{column_name}\" >= cast({literal} as {})", type_name(column.data_type)),
            ],
        };
        for condition in conditions {
            let narrow =
                world.query(&format!("{sql} WHERE {condition}"), &[name]).await.map_err(|error| format!("{condition}: {error:?}"))?;
            // The same condition where no statistics can be used.
            let plain = format!("SELECT * FROM ({sql} OFFSET 0) t WHERE CASE WHEN random() < 2 THEN {condition} ELSE false END");
            let wide = world.query(&plain, &[name]).await.map_err(|error| format!("{plain}: {error:?}"))?;
            let (mut narrow, mut wide) = (lines(&narrow), lines(&wide));
            narrow.sort();
            wide.sort();
            compare(&wide, &narrow).map_err(|problem| format!("{condition}: {problem}"))?;
            if value != "NULL" && narrow.is_empty() {
                return Err(format!("{condition}: no rows"));
            }
        }
    }
    Ok(())
}

fn type_name(data_type: PgType) -> String {
    let plain = match data_type.oid {
        16 => "boolean",
        20 => "bigint",
        21 => "smallint",
        23 => "int",
        1082 => "date",
        1114 => "timestamp",
        1184 => "timestamptz",
        1700 => match data_type.numeric_precision_scale() {
            Some((precision, scale)) => return format!("numeric({precision}, {scale})"),
            None => "numeric",
        },
        _ => "varchar",
    };
    plain.to_owned()
}
