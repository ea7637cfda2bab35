"""The stack as Pods: what a chart renders is applied, awaited, judged and taken away again."""
