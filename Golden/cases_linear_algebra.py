"""Solving, decompositions, diagonals, einsum."""

import torch

from table import T, S, case, values, wave

# Linear algebra


def definite(m):
    return m @ m.mT + 2 * torch.eye(m.shape[-1])


def regular(m):
    return m + 3 * torch.eye(m.shape[-1])


def triangular_solve(a, b, upper=False, transposed=False, unit=False):
    a = regular(a)
    a = a.mT if transposed else a
    vector = b.dim() == 1
    x = torch.linalg.solve_triangular(a, b[:, None] if vector else b, upper=upper != transposed, unitriangular=unit)
    return x[:, 0] if vector else x


square, batch = wave(3, 3), wave(2, 3, 3)
case("cholesky", square, f=lambda m: torch.linalg.cholesky(definite(m)))
case("cholesky batched", wave(2, 3, 3, layout=T), f=lambda m: torch.linalg.cholesky(definite(m)))
case("cholesky empty", wave(0, 3, 3), f=lambda m: torch.linalg.cholesky(definite(m)))
for name, upper, transposed, unit in [
    ("", False, False, False), (" upper", True, False, False), (" transposed", False, True, False),
    (" upper transposed", True, True, False), (" unit", False, False, True), (" upper unit", True, False, True),
]:
    case("triangularSolve" + name, square, wave(3, 2),
         f=lambda a, b, u=upper, t=transposed, d=unit: triangular_solve(a, b, u, t, d))
case("triangularSolve vector", square, wave(3), f=triangular_solve)
case("triangularSolve batched", wave(2, 3, 3, layout=T), wave(3, 2), f=triangular_solve)
case("solve", square, wave(3, 2), f=lambda a, b: torch.linalg.solve(regular(a), b))
case("solve vector", square, wave(3), f=lambda a, b: torch.linalg.solve(regular(a), b))
case("solve batched", wave(3, 3, layout=T), wave(2, 3, 1, layout=S), f=lambda a, b: torch.linalg.solve(regular(a), b))
case("solve empty", square, wave(3, 0), f=lambda a, b: torch.linalg.solve(regular(a), b))
case("inverse", square, f=lambda m: torch.linalg.inv(regular(m)))
case("inverse batched", wave(2, 3, 3, layout=S), f=lambda m: torch.linalg.inv(regular(m)))
case("determinant", square, f=lambda m: torch.linalg.det(regular(m)))
case("determinant batched", batch, f=torch.linalg.det)
# PyTorch's own gradient of a singular matrix's determinant is 0, which is wrong.
case("determinant singular", values([1, 2, 2, 4], [2, 2]), f=lambda m: m[0, 0] * m[1, 1] - m[0, 1] * m[1, 0])
case("logAbsDeterminant", batch, f=lambda m: tuple(torch.linalg.slogdet(m)))
case("logAbsDeterminant gradient", batch, f=lambda m: torch.linalg.slogdet(regular(m))[1])


def qr(a):
    q, r = torch.linalg.qr(a)
    signs = r.diagonal(dim1=-2, dim2=-1).sign().detach()
    return q * signs.unsqueeze(-2), r * signs.unsqueeze(-1)


def eigen(m):
    values, vectors = torch.linalg.eigh(m + m.mT)
    return values, vectors.square()


def eigen_function(m):
    values, vectors = torch.linalg.eigh(m + m.mT)
    return (vectors * values.exp().unsqueeze(-2)) @ vectors.mT


def svd(a):
    u, s, vh = torch.linalg.svd(a, full_matrices=False)
    return s, u.square(), vh.square(), u @ vh


case("qr", wave(4, 3), f=qr)
case("qr square", wave(2, 3, 3, layout=T), f=lambda m: qr(regular(m)))
case("symmetricEigen", square, f=eigen)
case("symmetricEigen function", wave(2, 3, 3, layout=T), f=eigen_function)
case("svd", wave(3, 3), f=svd)
case("svd tall", wave(4, 2), f=svd)
case("svd wide batched", wave(2, 2, 3), f=svd)
case("diagonal", wave(2, 3, 4), f=lambda x: x.diagonal(dim1=-2, dim2=-1))
case("diagonal offset", wave(4, 3, layout=T), f=lambda x: x.diagonal(1))
case("diagonal axes", wave(3, 2, 3, layout=S), f=lambda x: x.diagonal(-1, 0, 2))
case("diagonalMatrix", wave(2, 3), f=torch.diag_embed)
case("trace", batch, f=lambda x: x.diagonal(dim1=-2, dim2=-1).sum(-1))

for equation, shapes in [
    ("ij,jk->ik", [[2, 3], [3, 2]]), ("bij,bjk->bik", [[2, 2, 3], [2, 3, 2]]),
    ("bhqd,bhkd->bhqk", [[1, 2, 2, 3], [1, 2, 3, 3]]), ("i,j->ij", [[3], [2]]), ("ij->ji", [[2, 3]]),
    ("ii->", [[3, 3]]), ("bii->bi", [[2, 3, 3]]), ("ij->", [[2, 3]]), ("ij->j", [[2, 3]]), ("i,i", [[4], [4]]),
    ("ij,ij->i", [[2, 3], [2, 3]]), ("...ij,...jk->...ik", [[2, 1, 2, 3], [3, 3, 2]]),
    ("ij,jk,kl->il", [[2, 3], [3, 2], [2, 2]]), ("bn,anm,bm->ba", [[2, 3], [2, 3, 2], [2, 2]]),
    ("ij,j", [[2, 0], [0]]),
]:
    case("einsum " + equation, *[wave(*s) for s in shapes], f=lambda *x, e=equation: torch.einsum(e, *x))
case("einsum strided", wave(2, 3, layout=T), wave(3, 2, layout=S), f=lambda a, b: torch.einsum("ij,jk->ki", a, b))
