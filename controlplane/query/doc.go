// Package query is the cluster query language: the expressions of memberOf placement
// constraints and of the filter of ListContainerInstances (ECS guide, "cluster query
// language").
//
// It owns what an expression means and what it says of the attributes of every
// instance that matches ([Expression.Narrow]). It must not know where instances come
// from or what is done with those that match: it asks an [Instance], and has no clock.
//
// # The language
//
//	expression = and { ("||" | "or") and }
//	and        = not { ("&&" | "and") not }
//	not        = ("!" | "not") not | "(" expression ")" | comparison
//	comparison = subject operator [ value | "[" value { "," value } "]" ]
//
// A value is a word, or text in single or double quotes, in which the quote itself is
// written twice. A word ends at a space, a parenthesis, bracket, comma or quote, at &&
// and at ||; the word of a pattern goes on at brackets and commas.
//
// ECS's documentation leaves open what these decide:
//
//   - The negative operators (!=, not_in, not_matches, not_exists) are exactly what the
//     positive ones are not. So an instance without an attribute matches
//     "attribute:a != b".
//   - task:group is the set of the groups that have tasks on the instance: == asks
//     whether one of them is the value.
//   - The argument says how < and its like compare the value of an attribute: a number
//     as numbers, three or more numbers with points between as versions, anything else
//     as text. A value that cannot be read so does not match.
//   - A date without a time is its first instant, and one without a zone is in UTC.
//     registeredAt is compared in whole seconds.
package query
