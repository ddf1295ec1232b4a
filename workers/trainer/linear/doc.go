// Package linear is the built-in trainer builtin/linear: logistic, multinomial logistic and ridge regression by L-BFGS.
//
// Numeric features are imputed with their mean and standardised, string features are one-hot; both happen inside the ONNX
// graph, so the model takes raw features. A category that training has not seen counts as none of them. The objective is that
// of scikit-learn with C = 1/l2 (for ridge: alpha = l2): the sum of the rows' losses plus l2/2·‖w‖², the intercept free.
//
// The same data give the same bytes on any number of processors: rows are summed in fixed parts, in a fixed order.
package linear
