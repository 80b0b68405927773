//! Planning for statements over a few rows in memory, as clients ask the catalogs: there planning takes longer than running, so it is
//! done in one pass, without the rules that only large inputs repay.

use std::sync::{Arc, LazyLock};

use datafusion::common::Result;
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::execution::session_state::{SessionState, SessionStateBuilder};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::{Optimizer, OptimizerRule};
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;

use crate::exec::InOrder;

/// Rules of optimisation that are left out: they change how often something is computed, never what.
const LEFT_OUT: &[&str] = &[
    "optimize_unions",
    "unions_to_filter",
    "eliminate_duplicated_expr",
    "filter_null_join_keys",
    "single_distinct_aggregation_to_group_by",
    "eliminate_group_by_constant",
    "common_sub_expression_eliminate",
    "extract_leaf_expressions",
    "push_down_leaf_projections",
];

/// Rules for physical plans that are kept: what makes them right, and which side of a join is the smaller.
const PHYSICAL: &[&str] = &[
    "OutputRequirements",
    "join_selection",
    "EnsureRequirements",
    "OptimizeAggregateOrder",
    "ProjectionPushdown",
    "EnsureCooperative",
    "SanityCheckPlan",
];

type Rules = Vec<Arc<dyn OptimizerRule + Send + Sync>>;
type PhysicalRules = Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>>;

static RULES: LazyLock<Rules> =
    LazyLock::new(|| Optimizer::new().rules.into_iter().filter(|rule| !LEFT_OUT.contains(&rule.name())).collect());

static PHYSICAL_RULES: LazyLock<PhysicalRules> = LazyLock::new(|| {
    let rules = PhysicalOptimizer::new().rules;
    let last = rules.iter().rposition(|rule| rule.name() == "ProjectionPushdown");
    let wanted = |at: usize, name: &str| PHYSICAL.contains(&name) && (name != "ProjectionPushdown" || Some(at) == last);
    let kept = rules.iter().enumerate().filter(|(at, rule)| wanted(*at, rule.name())).map(|(_, rule)| Arc::clone(rule));
    let in_order: Arc<dyn PhysicalOptimizerRule + Send + Sync> = Arc::new(InOrder);
    std::iter::once(in_order).chain(kept).collect()
});

/// A state that plans so, on one thread: dealing few rows out to several takes longer than they do.
#[must_use]
pub fn small(state: SessionState) -> SessionState {
    let mut state = with_few_rules(SessionStateBuilder::new_from_existing(state)).build();
    let settings = state.config_mut().options_mut();
    settings.execution.target_partitions = 1;
    settings.optimizer.max_passes = 1;
    settings.optimizer.enable_dynamic_filter_pushdown = false;
    state
}

/// The rules alone.
#[must_use]
pub fn with_few_rules(builder: SessionStateBuilder) -> SessionStateBuilder {
    builder.with_optimizer_rules(RULES.clone()).with_physical_optimizer_rules(PHYSICAL_RULES.clone())
}

/// Whether a plan that went through one pass still holds what no physical plan can.
///
/// # Errors
/// None of its own.
pub fn is_unfinished(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    plan.apply_with_subqueries(|plan| {
        found |= plan.contains_outer_reference();
        plan.apply_expressions(|expr| {
            found |= expr.exists(|expr| Ok(matches!(expr, Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_))))?;
            Ok(TreeNodeRecursion::Continue)
        })?;
        Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rules_are_still_called_so() {
        let all = Optimizer::new().rules;
        for name in LEFT_OUT {
            assert!(all.iter().any(|rule| rule.name() == *name), "{name}");
        }
        let all = PhysicalOptimizer::new().rules;
        for name in PHYSICAL {
            assert!(all.iter().any(|rule| rule.name() == *name), "{name}");
        }
        assert_eq!(PHYSICAL_RULES.iter().filter(|rule| rule.name() == "ProjectionPushdown").count(), 1);
        assert_eq!(PHYSICAL_RULES.iter().filter(|rule| rule.name() == "OutputRequirements").count(), 2);
    }
}
